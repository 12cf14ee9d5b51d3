import { expect, test } from "vitest"
import { attentionPattern } from "../../src/kernels/attention-pattern.ts"
import { probabilities, problem, reference, runAttention, widthOf } from "../helpers/attention.ts"
import { capacity, headShapes, raggedTokens, positionsOf, rowsOf } from "../helpers/cache.ts"
import { testDevice } from "../helpers/device.ts"
import { bitsOf, readFloats, rowOf, runKernel } from "../helpers/gpu.ts"
import { expectClose } from "../helpers/numbers.ts"

const variants = [
  { variant: "lanes", keysPerTile: 1 },
  { variant: "tiles", keysPerTile: 64 },
  { variant: "flash", keysPerTile: 1 },
] as const

// Other shapes of flash, which takes a CPU driver seconds to compile, are in attention-flash.test.ts.
const cases = headShapes
  .flatMap((shape) => variants.map((each) => ({ ...shape, ...each })))
  .filter(({ variant, headDim }) => variant !== "flash" || [18, 128].includes(headDim))

test.each(cases)("$variant match float64: $heads heads on $kvHeads of $headDim", async ({ variant, keysPerTile, ...shape }) => {
  const p = problem(shape)
  expectClose(await runAttention(p, { variant, keysPerTile }), reference(p), { absolute: 1e-6, relative: 1e-5 })
})

test.each(variants)("$variant read what rows share from one of them", async (options) => {
  // Row 2 begins as row 3, and row 5 as row 0; where they would keep it themselves there is nothing.
  const shared = [0, 0, 61, 0, 0, 7]
  const sources = [0, 1, 3, 3, 4, 0]
  const prefixes = sources.map((source, row) => ({ source, shared: shared[row]! }))
  const p = problem({ heads: 6, kvHeads: 2, headDim: 20 }, 1, raggedTokens, prefixes)
  expectClose(await runAttention(p, options), reference(p), { absolute: 1e-6, relative: 1e-5 })
})

test.each([8, 128])("tiles of %i keys match float64", async (keysPerTile) => {
  const p = problem({ heads: 6, kvHeads: 2, headDim: 20 })
  expectClose(await runAttention(p, { keysPerTile }), reference(p), { absolute: 1e-6, relative: 1e-5 })
})

test.each(variants)("$variant take scores of hundreds, where a plain exponential overflows", async (options) => {
  const p = problem({ heads: 4, kvHeads: 2, headDim: 128 }, 300)
  // Scores near 1000 are known to 6e-5 in f32, and the weights to the same relative error.
  expectClose(await runAttention(p, options), reference(p), { absolute: 1e-3, relative: 1e-3 })
})

test.each(variants)("$variant take heads of 256", async (options) => {
  const p = problem({ heads: 2, kvHeads: 1, headDim: 256 }, 1, raggedTokens.slice(-6))
  expectClose(await runAttention(p, options), reference(p), { absolute: 1e-6, relative: 1e-5 })
})

test.each(variants)("$variant: a token's bits do not depend on the others", async (options) => {
  const p = problem({ heads: 6, kvHeads: 2, headDim: 20 })
  const together = await runAttention(p, options)
  for (const t of [0, 5, 13]) {
    const alone = await runAttention({ ...p, tokens: p.tokens.slice(t, t + 1), qkv: rowOf(p.qkv, t, widthOf(p.shape)) }, options)
    expect(bitsOf(alone)).toEqual(bitsOf(rowOf(together, t, 120)))
  }
})

test.each(headShapes)("the pattern matches float64: $heads heads on $kvHeads of $headDim", async (shape) => {
  const device = await testDevice()
  const p = problem(shape)
  const width = 301 // more than the last position, and odd
  using qkv = device.upload("qkv", p.qkv)
  using keys = device.upload("keys", p.keys)
  using rows = device.upload("rows", rowsOf(p.tokens))
  using positions = device.upload("positions", positionsOf(p.tokens))
  using out = device.upload("out", new Float32Array(p.tokens.length * shape.heads * width).fill(NaN))
  const parameters = { tokens: p.tokens.length, capacity, keys: width }
  runKernel(device, attentionPattern(shape), [qkv, keys, rows, positions, out], parameters)
  const expected = new Float64Array(p.tokens.length * shape.heads * width)
  for (let t = 0; t < p.tokens.length; t++) {
    for (let head = 0; head < shape.heads; head++) expected.set(probabilities(p, t, head), (t * shape.heads + head) * width)
  }
  expectClose(await readFloats(device, out), expected, { absolute: 1e-9, relative: 1e-5 })
})
