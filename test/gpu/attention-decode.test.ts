import { expect, test } from "vitest"
import { attentionDecode } from "../../src/kernels/attention-decode.ts"
import { attention } from "../../src/kernels/attention.ts"
import { pad8 } from "../../src/kernels/kernel.ts"
import { rotary } from "../../src/kernels/rotary.ts"
import { headShapes, type HeadShape, randomFloats, positionsOf, rowsOf } from "../helpers/cache.ts"
import { testDevice } from "../helpers/device.ts"
import { bitsOf, padRows, readFloats, runKernel } from "../helpers/gpu.ts"
import { expectClose, random } from "../helpers/numbers.ts"

const capacity = 150
// One token a row, in no order; row 4 begins as row 0, row 2 runs nothing.
const tokens = [
  { row: 1, position: 0 },
  { row: 0, position: 140 },
  { row: 3, position: 31 },
  { row: 4, position: 128 },
  { row: 5, position: 32 },
]
const batchRows = 6
const shared = 77
const prefixes = Uint32Array.from([0, 0, 1, 0, 2, 0, 3, 0, 0, shared, 5, 0])

interface Result {
  readonly out: Float32Array
  readonly keys: Float32Array
  readonly values: Float32Array
}

/** Attention of the tokens, or of those at `only`, by the one kernel or by the two that it stands for. */
async function run(shape: HeadShape, atOnce: boolean, only: readonly number[] = [...tokens.keys()]): Promise<Result> {
  const device = await testDevice()
  const { heads, kvHeads, headDim } = shape
  const slot = kvHeads * headDim
  const all = padRows(tokens.length, (heads + 2 * kvHeads) * headDim, random(3))
  const stride = all.length / tokens.length
  const next = random(6)
  const turns = Float32Array.from({ length: capacity * headDim }, () => next())
  const chosen = only.map((t) => tokens[t]!)
  using qkv = device.upload("qkv", Float32Array.from(only.flatMap((t) => [...all.subarray(t * stride, (t + 1) * stride)])))
  using keys = device.upload("keys", randomFloats(batchRows * capacity * slot, 4))
  using values = device.upload("values", randomFloats(batchRows * capacity * slot, 5))
  using rows = device.upload("rows", rowsOf(chosen))
  using positions = device.upload("positions", positionsOf(chosen))
  using prefix = device.upload("prefixes", prefixes)
  using table = device.upload("table", turns)
  using out = device.createBuffer("out", only.length * pad8(heads * headDim) * 4)
  const parameters = { tokens: only.length, capacity }
  if (atOnce) {
    runKernel(device, attentionDecode(shape), [qkv, keys, values, rows, positions, prefix, table, out], parameters)
  } else {
    runKernel(device, rotary(shape), [qkv, keys, values, rows, positions, table], parameters)
    const kernel = attention({ ...shape, variant: "tiles", keysPerTile: 64 })
    runKernel(device, kernel, [qkv, keys, values, rows, positions, prefix, out], parameters)
  }
  return { out: await readFloats(device, out), keys: await readFloats(device, keys), values: await readFloats(device, values) }
}

// What `tiles` computes is checked against float64 in attention.test.ts, the rotation in rotary.test.ts.
test.each(headShapes)("does what rotary and attention do: $heads heads on $kvHeads of $headDim", async (shape) => {
  const actual = await run(shape, true)
  const expected = await run(shape, false)
  expectClose(actual.out, Float64Array.from(expected.out), { absolute: 2e-6, relative: 1e-5 })
  expectClose(actual.keys, Float64Array.from(expected.keys), { absolute: 1e-6, relative: 1e-6 })
  expect(bitsOf(actual.values)).toEqual(bitsOf(expected.values))
})

test("a token's bits do not depend on the others", async () => {
  const shape = { heads: 6, kvHeads: 2, headDim: 20 }
  const together = await run(shape, true)
  for (const t of tokens.keys()) {
    const alone = await run(shape, true, [t])
    expect(bitsOf(alone.out)).toEqual(bitsOf(together.out.slice(t * 120, (t + 1) * 120)))
  }
})
