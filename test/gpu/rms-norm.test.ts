import { expect, test } from "vitest"
import { pad8 } from "../../src/kernels/kernel.ts"
import { rmsNorm } from "../../src/kernels/rms-norm.ts"
import { testDevice } from "../helpers/device.ts"
import { bitsOf, padRows, readFloats, rowOf, runKernel } from "../helpers/gpu.ts"
import { expectClose, random } from "../helpers/numbers.ts"

const EPSILON = 1e-5
const SIZES = [1, 3e-3, 0, 400] // of a token's numbers: epsilon matters for the second, the third is all zeros

function problem(width: number): { x: Float32Array; weight: Float32Array } {
  const next = random(width)
  return { x: padRows(SIZES.length, width, (t) => (SIZES[t] as number) * next()), weight: padRows(1, width, next) }
}

/** [tokens, pad8(width)] in float64. */
function reference(x: Float32Array, weight: Float32Array, width: number): Float64Array {
  const stride = pad8(width)
  const out = new Float64Array(x.length)
  for (let start = 0; start < x.length; start += stride) {
    const row = x.subarray(start, start + stride)
    const meanSquare = row.reduce((sum, v) => sum + v * v, 0) / width
    row.forEach((v, i) => (out[start + i] = (v / Math.sqrt(meanSquare + EPSILON)) * (weight[i] as number)))
  }
  return out
}

async function run(x: Float32Array, weight: Float32Array, width: number): Promise<Float32Array> {
  const device = await testDevice()
  using input = device.upload("x", x)
  using weights = device.upload("weight", weight)
  using out = device.createBuffer("out", x.byteLength)
  runKernel(device, rmsNorm({ width, epsilon: EPSILON }), [input, weights, out], { tokens: x.length / pad8(width) })
  return readFloats(device, out)
}

test.each([37, 120, 1000, 1501, 4096])("matches float64 at width %i", async (width) => {
  const { x, weight } = problem(width)
  expectClose(await run(x, weight, width), reference(x, weight, width), { absolute: 1e-7, relative: 3e-6 })
})

test("a token's bits do not depend on the others", async () => {
  const { x, weight } = problem(120)
  const together = await run(x, weight, 120)
  for (let t = 0; t < SIZES.length; t++) {
    expect(bitsOf(await run(rowOf(x, t, 120), weight, 120))).toEqual(bitsOf(rowOf(together, t, 120)))
  }
})
