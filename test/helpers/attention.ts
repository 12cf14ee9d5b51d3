import { attention, type AttentionOptions } from "../../src/kernels/attention.ts"
import { pad8 } from "../../src/kernels/kernel.ts"
import { batchRows, capacity, raggedTokens, randomFloats, type HeadShape, type Token, positionsOf, rowsOf } from "./cache.ts"
import { testDevice } from "./device.ts"
import { padRows, readFloats, runKernel } from "./gpu.ts"
import { random } from "./numbers.ts"

/** The first `shared` keys and values of a row are read from row `source`. */
export interface Prefix {
  readonly source: number
  readonly shared: number
}

export interface Problem {
  readonly shape: HeadShape
  readonly tokens: readonly Token[]
  /** [batchRows] */
  readonly prefixes: readonly Prefix[]
  readonly qkv: Float32Array
  /** [batchRows, capacity, kvHeads, headDim], NaN where nothing is to be read. */
  readonly keys: Float32Array
  readonly values: Float32Array
}

export const widthOf = ({ heads, kvHeads, headDim }: HeadShape): number => (heads + 2 * kvHeads) * headDim

const alone: readonly Prefix[] = Array.from({ length: batchRows }, (_, source) => ({ source, shared: 0 }))

export function problem(
  shape: HeadShape,
  size = 1,
  tokens: readonly Token[] = raggedTokens,
  prefixes: readonly Prefix[] = alone,
): Problem {
  const next = random(3)
  const qkv = padRows(tokens.length, widthOf(shape), () => size * next())
  const slot = shape.kvHeads * shape.headDim
  const known = randomFloats(batchRows * capacity * slot, 4)
  const keys = new Float32Array(known.length).fill(NaN)
  const values = keys.slice()
  for (const token of tokens) {
    for (let key = 0; key <= token.position; key++) {
      const at = slotOf(prefixes, token.row, key) * slot
      keys.set(known.subarray(at, at + slot), at)
      for (let i = at; i < at + slot; i++) values[i] = known[known.length - 1 - i] as number
    }
  }
  return { shape, tokens, prefixes, qkv, keys, values }
}

/** Where the cache holds a key of a row. */
function slotOf(prefixes: readonly Prefix[], row: number, key: number): number {
  const { source, shared } = prefixes[row] as Prefix
  return (key < shared ? source : row) * capacity + key
}

/** The probabilities of token `t`'s query head `head` in float64, [position + 1]. */
export function probabilities({ shape, tokens, prefixes, qkv, keys }: Problem, t: number, head: number): number[] {
  const { heads, kvHeads, headDim } = shape
  const { row, position } = tokens[t] as Token
  const query = t * pad8(widthOf(shape)) + head * headDim
  const scores = Array.from({ length: position + 1 }, (_, k) => {
    const key = (slotOf(prefixes, row, k) * kvHeads + Math.floor(head / (heads / kvHeads))) * headDim
    let score = 0
    for (let d = 0; d < headDim; d++) score += (qkv[query + d] as number) * (keys[key + d] as number)
    return score / Math.sqrt(headDim)
  })
  const highest = Math.max(...scores)
  const total = scores.reduce((sum, score) => sum + Math.exp(score - highest), 0)
  return scores.map((score) => Math.exp(score - highest) / total)
}

/** [tokens, pad8(heads headDim)] in float64. */
export function reference(p: Problem): Float64Array {
  const { heads, kvHeads, headDim } = p.shape
  const out = new Float64Array(p.tokens.length * pad8(heads * headDim))
  p.tokens.forEach(({ row }, t) => {
    for (let head = 0; head < heads; head++) {
      const weights = probabilities(p, t, head)
      for (let d = 0; d < headDim; d++) {
        let sum = 0
        weights.forEach((weight, k) => {
          const value = (slotOf(p.prefixes, row, k) * kvHeads + Math.floor(head / (heads / kvHeads))) * headDim
          sum += weight * (p.values[value + d] as number)
        })
        out[t * pad8(heads * headDim) + head * headDim + d] = sum
      }
    }
  })
  return out
}

/** [tokens, pad8(heads headDim)] as a kernel computes it. */
export async function runAttention(
  p: Problem,
  options: Pick<AttentionOptions, "keysPerTile" | "variant">,
): Promise<Float32Array> {
  const device = await testDevice()
  using qkv = device.upload("qkv", p.qkv)
  using keys = device.upload("keys", p.keys)
  using values = device.upload("values", p.values)
  using rows = device.upload("rows", rowsOf(p.tokens))
  using positions = device.upload("positions", positionsOf(p.tokens))
  using prefixes = device.upload("prefixes", Uint32Array.from(p.prefixes.flatMap(({ source, shared }) => [source, shared])))
  using out = device.createBuffer("out", p.tokens.length * pad8(p.shape.heads * p.shape.headDim) * 4)
  const kernel = attention({ ...p.shape, ...options })
  runKernel(device, kernel, [qkv, keys, values, rows, positions, prefixes, out], { tokens: p.tokens.length, capacity })
  return readFloats(device, out)
}
