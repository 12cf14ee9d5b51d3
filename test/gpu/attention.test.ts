import { expect, test } from "vitest"
import { attentionPattern } from "../../src/kernels/attention-pattern.ts"
import { attention, type AttentionOptions } from "../../src/kernels/attention.ts"
import { pad8 } from "../../src/kernels/kernel.ts"
import { batchRows, capacity, headShapes, raggedTokens, randomFloats, type HeadShape, type Token } from "../helpers/cache.ts"
import { testDevice } from "../helpers/device.ts"
import { bitsOf, padRows, readFloats, rowOf, runKernel } from "../helpers/gpu.ts"
import { expectClose, random } from "../helpers/numbers.ts"

interface Problem {
  readonly shape: HeadShape
  readonly tokens: readonly Token[]
  readonly qkv: Float32Array
  /** [batchRows, capacity, kvHeads, headDim], NaN where no token of its row has come yet. */
  readonly keys: Float32Array
  readonly values: Float32Array
  /** (source row, shared positions) of each row. */
  readonly prefixes: readonly (readonly [number, number])[]
}

const widthOf = ({ heads, kvHeads, headDim }: HeadShape): number => (heads + 2 * kvHeads) * headDim

function problem(shape: HeadShape, size = 1, tokens: readonly Token[] = raggedTokens): Problem {
  const next = random(3)
  const slot = shape.kvHeads * shape.headDim
  const keys = randomFloats(batchRows * capacity * slot, 4)
  const values = randomFloats(batchRows * capacity * slot, 5)
  for (let row = 0; row < batchRows; row++) {
    const last = Math.max(-1, ...tokens.filter((token) => token.row === row).map((token) => token.position))
    for (const cache of [keys, values]) cache.fill(NaN, (row * capacity + last + 1) * slot, (row + 1) * capacity * slot)
  }
  const prefixes = Array.from({ length: batchRows }, (_, row) => [row, 0] as const)
  return { shape, tokens, qkv: padRows(tokens.length, widthOf(shape), () => size * next()), keys, values, prefixes }
}

/** The probabilities of token `t`'s query head `head` in float64, [position + 1]. */
function probabilities({ shape, tokens, qkv, keys }: Problem, t: number, head: number): number[] {
  const { heads, kvHeads, headDim } = shape
  const { row, position } = tokens[t] as Token
  const query = t * pad8(widthOf(shape)) + head * headDim
  const scores = Array.from({ length: position + 1 }, (_, k) => {
    const key = ((row * capacity + k) * kvHeads + Math.floor(head / (heads / kvHeads))) * headDim
    let score = 0
    for (let d = 0; d < headDim; d++) score += (qkv[query + d] as number) * (keys[key + d] as number)
    return score / Math.sqrt(headDim)
  })
  const highest = Math.max(...scores)
  const total = scores.reduce((sum, score) => sum + Math.exp(score - highest), 0)
  return scores.map((score) => Math.exp(score - highest) / total)
}

/** [tokens, pad8(heads headDim)] in float64. */
function reference(p: Problem): Float64Array {
  const { heads, kvHeads, headDim } = p.shape
  const out = new Float64Array(p.tokens.length * pad8(heads * headDim))
  p.tokens.forEach(({ row }, t) => {
    for (let head = 0; head < heads; head++) {
      const weights = probabilities(p, t, head)
      for (let d = 0; d < headDim; d++) {
        let sum = 0
        weights.forEach((weight, k) => {
          const value = ((row * capacity + k) * kvHeads + Math.floor(head / (heads / kvHeads))) * headDim
          sum += weight * (p.values[value + d] as number)
        })
        out[t * pad8(heads * headDim) + head * headDim + d] = sum
      }
    }
  })
  return out
}

async function run(p: Problem, options: Pick<AttentionOptions, "keysPerTile" | "variant">): Promise<Float32Array> {
  const device = await testDevice()
  using qkv = device.upload("qkv", p.qkv)
  using keys = device.upload("keys", p.keys)
  using values = device.upload("values", p.values)
  using rows = device.upload(
    "rows",
    Uint32Array.from(p.tokens, ({ row }) => row),
  )
  using positions = device.upload(
    "positions",
    Uint32Array.from(p.tokens, ({ position }) => position),
  )
  using prefixes = device.upload("prefixes", Uint32Array.from(p.prefixes.flat()))
  using out = device.createBuffer("out", p.tokens.length * pad8(p.shape.heads * p.shape.headDim) * 4)
  const kernel = attention({ ...p.shape, ...options })
  runKernel(device, kernel, [qkv, keys, values, rows, positions, prefixes, out], { tokens: p.tokens.length, capacity })
  return readFloats(device, out)
}

const variants = [
  { variant: "lanes", keysPerTile: 1 },
  { variant: "tiles", keysPerTile: 64 },
] as const

const cases = headShapes.flatMap((shape) => variants.map((each) => ({ ...shape, ...each })))

test.each(cases)("$variant match float64: $heads heads on $kvHeads of $headDim", async ({ variant, keysPerTile, ...shape }) => {
  const p = problem(shape)
  expectClose(await run(p, { variant, keysPerTile }), reference(p), { absolute: 1e-6, relative: 1e-5 })
})

test.each(variants)("$variant read what rows share from one of them", async (options) => {
  const p = problem({ heads: 6, kvHeads: 2, headDim: 20 })
  const slot = 2 * 20
  // Row 2 begins as row 3, 61 positions of it, and row 5 as row 0; where they would keep it themselves there is nothing.
  const prefixes = p.prefixes.map((own, row) => (row === 2 ? ([3, 61] as const) : row === 5 ? ([0, 7] as const) : own))
  const [keys, values] = [p.keys, p.values].map((cache) => cache.slice()) as [Float32Array, Float32Array]
  const [sharedKeys, sharedValues] = [p.keys, p.values].map((cache) => cache.slice()) as [Float32Array, Float32Array]
  for (const [row, [source, shared]] of prefixes.entries()) {
    if (source === row) continue
    for (const cache of [keys, values])
      cache.copyWithin(row * capacity * slot, source * capacity * slot, (source * capacity + shared) * slot)
    for (const cache of [sharedKeys, sharedValues]) cache.fill(NaN, row * capacity * slot, (row * capacity + shared) * slot)
  }
  const apart = await run({ ...p, keys, values }, options)
  const shared = await run({ ...p, keys: sharedKeys, values: sharedValues, prefixes }, options)
  expect(shared.some(Number.isNaN)).toBe(false)
  expect(bitsOf(shared)).toEqual(bitsOf(apart))
})

test.each([8, 128])("tiles of %i keys match float64", async (keysPerTile) => {
  const p = problem({ heads: 6, kvHeads: 2, headDim: 20 })
  expectClose(await run(p, { keysPerTile }), reference(p), { absolute: 1e-6, relative: 1e-5 })
})

test.each(variants)("$variant take scores of hundreds, where a plain exponential overflows", async (options) => {
  const p = problem({ heads: 4, kvHeads: 2, headDim: 128 }, 300)
  // Scores near 1000 are known to 6e-5 in f32, and the weights to the same relative error.
  expectClose(await run(p, options), reference(p), { absolute: 1e-3, relative: 1e-3 })
})

test.each(variants)("$variant take heads of 256", async (options) => {
  const p = problem({ heads: 2, kvHeads: 1, headDim: 256 }, 1, raggedTokens.slice(-6))
  expectClose(await run(p, options), reference(p), { absolute: 1e-6, relative: 1e-5 })
})

test.each(variants)("$variant: a token's bits do not depend on the others", async (options) => {
  const p = problem({ heads: 6, kvHeads: 2, headDim: 20 })
  const together = await run(p, options)
  for (const t of [0, 5, 13]) {
    const alone = await run({ ...p, tokens: p.tokens.slice(t, t + 1), qkv: rowOf(p.qkv, t, widthOf(p.shape)) }, options)
    expect(bitsOf(alone)).toEqual(bitsOf(rowOf(together, t, 120)))
  }
})

test.each(headShapes)("the pattern matches float64: $heads heads on $kvHeads of $headDim", async (shape) => {
  const device = await testDevice()
  const p = problem(shape)
  const width = 301 // more than the last position, and odd
  using qkv = device.upload("qkv", p.qkv)
  using keys = device.upload("keys", p.keys)
  using rows = device.upload(
    "rows",
    Uint32Array.from(p.tokens, ({ row }) => row),
  )
  using positions = device.upload(
    "positions",
    Uint32Array.from(p.tokens, ({ position }) => position),
  )
  using out = device.upload("out", new Float32Array(p.tokens.length * shape.heads * width).fill(NaN))
  const parameters = { tokens: p.tokens.length, capacity, keys: width }
  runKernel(device, attentionPattern(shape), [qkv, keys, rows, positions, out], parameters)
  const expected = new Float64Array(p.tokens.length * shape.heads * width)
  for (let t = 0; t < p.tokens.length; t++) {
    for (let head = 0; head < shape.heads; head++) expected.set(probabilities(p, t, head), (t * shape.heads + head) * width)
  }
  expectClose(await readFloats(device, out), expected, { absolute: 1e-9, relative: 1e-5 })
})
