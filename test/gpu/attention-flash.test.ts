import { expect, test } from "vitest"
import { problem, reference, runAttention, widthOf, type Prefix, type Problem } from "../helpers/attention.ts"
import { capacity, type Token } from "../helpers/cache.ts"
import { bitsOf, rowOf } from "../helpers/gpu.ts"
import { expectClose } from "../helpers/numbers.ts"

const flash = { variant: "flash", keysPerTile: 1 } as const

const piece = (row: number, first: number, count: number): Token[] =>
  Array.from({ length: count }, (_, i) => ({ row, position: first + i }))

/** Rows that end inside a block and inside a tile of keys, two of them pieces that start far along: 101 tokens. */
const pieces: readonly Token[] = [
  ...piece(0, 0, 41),
  ...piece(2, 61, 6),
  { row: 5, position: 32 },
  ...piece(1, 29, 38),
  ...piece(4, 95, 2),
  ...piece(3, 0, 13),
]

/** Rows 1 and 4 share the first keys of row 0, row 5 all but its last one of row 2: inside, at the end of and before a tile. */
const prefixes: readonly Prefix[] = [
  { source: 0, shared: 0 },
  { source: 0, shared: 29 },
  { source: 2, shared: 0 },
  { source: 3, shared: 0 },
  { source: 0, shared: 41 },
  { source: 2, shared: 32 },
]

const tolerance = { absolute: 1e-6, relative: 1e-5 }

test.each([
  { heads: 4, kvHeads: 4, headDim: 6 },
  { heads: 6, kvHeads: 2, headDim: 20 },
  { heads: 67, kvHeads: 1, headDim: 2 }, // a token's heads fill more than a block
])("rows that straddle blocks and share prefixes match float64: $heads heads on $kvHeads of $headDim", async (shape) => {
  const p = problem(shape, 3, pieces, prefixes)
  expectClose(await runAttention(p, flash), reference(p), tolerance)
})

test("flash agrees with tiles", async () => {
  const p = problem({ heads: 6, kvHeads: 2, headDim: 20 }, 3, pieces)
  expectClose(await runAttention(p, flash), await runAttention(p, { variant: "tiles", keysPerTile: 64 }), tolerance)
})

const grouped = problem({ heads: 6, kvHeads: 2, headDim: 20 }, 3, pieces, prefixes)

function some(p: Problem, tokens: readonly number[]): Problem {
  const stride = p.qkv.length / p.tokens.length
  const qkv = new Float32Array(tokens.length * stride)
  tokens.forEach((t, i) => qkv.set(rowOf(p.qkv, t, widthOf(p.shape)), i * stride))
  return { ...p, tokens: tokens.map((t) => p.tokens[t] as Token), qkv }
}

test.each([
  ["alone", [40]],
  ["at another place of a block", pieces.flatMap((_, t) => (t < 7 ? [] : [t]))],
  ["after fewer of its row", pieces.flatMap((_, t) => (t % 3 === 0 ? [t] : []))],
])("a token's bits are the same %s", async (_, tokens) => {
  const all = await runAttention(grouped, flash)
  const found = await runAttention(some(grouped, tokens), flash)
  tokens.forEach((t, i) => expect(bitsOf(rowOf(found, i, 120)), `token ${t}`).toEqual(bitsOf(rowOf(all, t, 120))))
})

test("numbers that are none reach only the tokens that see them", async () => {
  const all = await runAttention(grouped, flash)
  const { kvHeads, headDim } = grouped.shape
  const slot = kvHeads * headDim
  const broken: Problem = { ...grouped, qkv: grouped.qkv.slice(), keys: grouped.keys.slice(), values: grouped.values.slice() }
  broken.keys.fill(NaN, 35 * slot, 36 * slot) // row 0
  broken.values.fill(Infinity, (capacity + 50) * slot, (capacity + 51) * slot) // row 1
  const found = await runAttention(broken, flash)
  pieces.forEach(({ row, position }, t) => {
    const sees = (row === 0 && position >= 35) || row === 4 || (row === 1 && position >= 50)
    if (sees) expect(rowOf(found, t, 120).every(Number.isFinite), `token ${t}`).toBe(false)
    else expect(bitsOf(rowOf(found, t, 120)), `token ${t}`).toEqual(bitsOf(rowOf(all, t, 120)))
  })
})
