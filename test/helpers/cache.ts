import { random } from "./numbers.ts"

/** The heads of an attention layer. */
export interface HeadShape {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
}

/** A token of a packed batch. */
export interface Token {
  readonly row: number
  readonly position: number
}

/** The rows of tokens, as kernels bind them. u32 [tokens] */
export const rowsOf = (tokens: readonly Token[]): Uint32Array => Uint32Array.from(tokens, ({ row }) => row)

/** The positions of tokens, as kernels bind them. u32 [tokens] */
export const positionsOf = (tokens: readonly Token[]): Uint32Array => Uint32Array.from(tokens, ({ position }) => position)

/** Head counts and sizes that divide nothing evenly beside those of real models. */
export const headShapes: readonly HeadShape[] = [
  { heads: 6, kvHeads: 2, headDim: 20 },
  { heads: 8, kvHeads: 4, headDim: 32 },
  { heads: 3, kvHeads: 3, headDim: 18 },
  { heads: 4, kvHeads: 1, headDim: 64 },
  { heads: 4, kvHeads: 2, headDim: 128 },
]

/** Rows of different lengths in no order: two prompts of several tokens, single tokens far along, an unused row 1. */
export const raggedTokens: readonly Token[] = [
  { row: 3, position: 299 },
  ...[0, 1, 2, 3, 4, 5, 6].map((position) => ({ row: 0, position })),
  { row: 4, position: 0 },
  ...[62, 63, 64, 65].map((position) => ({ row: 2, position })),
  { row: 5, position: 7 },
]

export const batchRows = 6
export const capacity = 304

/** f32 numbers in [-1, 1) times `size`. */
export function randomFloats(length: number, seed: number, size = 1): Float32Array {
  const next = random(seed)
  return Float32Array.from({ length }, () => size * next())
}
