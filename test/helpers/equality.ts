import { expect } from "vitest"

// toEqual takes microseconds for each element of a typed array: arrays of the same bytes are seen to be equal at once.

const installed = Symbol.for("redline.equality")
const shared = globalThis as { [installed]?: true }

function sameBytes(a: unknown, b: unknown): true | undefined {
  if (!ArrayBuffer.isView(a) || !ArrayBuffer.isView(b) || a.constructor !== b.constructor) return undefined
  const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  return Buffer.compare(bytesOf(a), bytesOf(b)) === 0 || undefined
}

// Every test file runs this, those of one worker in one world.
if (!shared[installed]) expect.addEqualityTesters([sameBytes])
shared[installed] = true
