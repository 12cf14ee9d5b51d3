import { closeSync, openSync, readdirSync, readSync } from "node:fs"
import { join } from "node:path"
import { decodeHeader, decodeValues, headerEnd, type StoredType } from "./checkpoint.ts"
import type { ReferenceTensor } from "./llama.ts"

/** A checkpoint's tensors, read and widened to float64 whenever they are asked for: 1B would take 10 GB. */
export class StoredTensors implements Disposable {
  readonly #places = new Map<string, { file: number; dtype: StoredType; shape: number[]; from: number; to: number }>()
  readonly #files: number[] = []

  constructor(folder: string) {
    for (const name of readdirSync(folder).filter((file) => file.endsWith(".safetensors"))) {
      const file = openSync(join(folder, name), "r")
      this.#files.push(file)
      const start = headerEnd(bytesAt(file, 0, 8))
      for (const [tensor, { dtype, shape, data_offsets: offsets }] of decodeHeader(bytesAt(file, 8, start))) {
        this.#places.set(tensor, { file, dtype, shape, from: start + offsets[0], to: start + offsets[1] })
      }
    }
  }

  get(name: string): ReferenceTensor | undefined {
    const place = this.#places.get(name)
    if (!place) return undefined
    return { shape: place.shape, data: decodeValues(place.dtype, bytesAt(place.file, place.from, place.to)) }
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) closeSync(file)
  }
}

function bytesAt(file: number, from: number, to: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(to - from)
  // One call reads less than 2 GiB.
  for (let done = 0; done < bytes.length;) {
    const read = readSync(file, bytes, done, Math.min(bytes.length - done, 2 ** 30), from + done)
    if (read === 0) throw new Error(`a weight file ends at byte ${from + done}, before a tensor's end at ${to}`)
    done += read
  }
  return bytes
}
