import { expect, test } from "vitest"
import { pad8 } from "../../src/kernels/kernel.ts"
import { siluGate } from "../../src/kernels/silu-gate.ts"
import { testDevice } from "../helpers/device.ts"
import { bitsOf, padRows, readFloats, rowOf, runKernel } from "../helpers/gpu.ts"
import { expectClose, random } from "../helpers/numbers.ts"

const TOKENS = 5
const EXTREME = [0, -0, 20, -20, 88, -88, 1e4, -1e4] // gates: the first columns of token 1

function problem(width: number): Float32Array {
  const next = random(width)
  return padRows(TOKENS, 2 * width, (t, c) => (t === 1 ? (EXTREME[c] ?? next()) : 6 * next()))
}

/** [tokens, pad8(width)] in float64. */
function reference(gateUp: Float32Array, width: number): Float64Array {
  const out = new Float64Array((gateUp.length / pad8(2 * width)) * pad8(width))
  for (let t = 0; t < gateUp.length / pad8(2 * width); t++) {
    for (let c = 0; c < width; c++) {
      const gate = gateUp[t * pad8(2 * width) + c] as number
      const up = gateUp[t * pad8(2 * width) + width + c] as number
      out[t * pad8(width) + c] = (gate / (1 + Math.exp(-gate))) * up
    }
  }
  return out
}

async function run(gateUp: Float32Array, width: number): Promise<Float32Array> {
  const device = await testDevice()
  const tokens = gateUp.length / pad8(2 * width)
  using input = device.upload("gate and up", gateUp)
  using out = device.createBuffer("out", tokens * pad8(width) * 4)
  runKernel(device, siluGate({ width }), [input, out], { tokens })
  return readFloats(device, out)
}

// One width for each size of vector that divides it, and one beyond a workgroup.
test.each([37, 90, 120, 700])("matches float64 at width %i", async (width) => {
  const gateUp = problem(width)
  expectClose(await run(gateUp, width), reference(gateUp, width), { absolute: 1e-7, relative: 1e-5 })
})

test("a token's bits do not depend on the others", async () => {
  const gateUp = problem(37)
  const together = await run(gateUp, 37)
  for (let t = 0; t < TOKENS; t++) {
    expect(bitsOf(await run(rowOf(gateUp, t, 74), 37))).toEqual(bitsOf(rowOf(together, t, 37)))
  }
})
