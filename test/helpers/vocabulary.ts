import type { Device } from "../../src/engine/device.ts"
import type { ChooseParameters } from "../../src/kernels/choose.ts"
import { pad8, type Kernel } from "../../src/kernels/kernel.ts"
import { runKernel } from "./gpu.ts"

/** What chooses a token starts from: a row of logits and the tokens seen, for each row. */
export interface Rows {
  readonly logits: readonly ArrayLike<number>[]
  readonly seen?: readonly (readonly number[])[]
  /** For sampling alone. */
  readonly seeds?: readonly number[]
}

/** What the buffers hold afterwards; seen as sorted ids. */
export interface Choices {
  readonly ids: readonly number[]
  readonly positions: readonly number[]
  readonly history: readonly (readonly number[])[]
  readonly seen: readonly (readonly number[])[]
}

/** Where positions start, so that a test sees them move from somewhere. */
export const FIRST_POSITION = 100

/** A row of logits as the GPU keeps it, its padding filled with what would win if it were looked at. */
export function padded(rows: readonly ArrayLike<number>[], vocab: number): Float32Array<ArrayBuffer> {
  const stride = pad8(vocab)
  const data = new Float32Array(rows.length * stride).fill(Infinity)
  for (const [row, logits] of rows.entries()) data.set(logits, row * stride)
  return data
}

/** Runs a kernel that chooses tokens once for each of `steps`, on the same logits. */
export async function runChoice<P extends ChooseParameters>(
  device: Device,
  kernel: Kernel<P>,
  rows: Rows,
  vocab: number,
  steps: readonly P[],
): Promise<Choices> {
  const count = rows.logits.length
  const seenWords = Math.ceil(vocab / 32)
  const historyStride = steps[0]?.historyStride ?? 1
  const bits = new Uint32Array(count * seenWords)
  for (const [row, tokens] of (rows.seen ?? []).entries()) {
    for (const token of tokens) bits[row * seenWords + (token >>> 5)]! |= 1 << (token & 31)
  }
  using logits = device.upload("logits", padded(rows.logits, vocab))
  using seen = device.upload("seen", bits)
  using ids = device.upload("ids", new Uint32Array(count))
  using positions = device.upload("positions", new Uint32Array(count).fill(FIRST_POSITION))
  using history = device.upload("history", new Uint32Array(count * historyStride))
  using seeds = device.upload("seeds", Uint32Array.from(rows.seeds ?? [0]))
  const buffers = [logits, seen, ids, positions, history, ...(rows.seeds ? [seeds] : [])]
  for (const step of steps) runKernel(device, kernel, buffers, step)
  const words = async (buffer: typeof seen, length: number): Promise<number[]> => [
    ...new Uint32Array(await device.read(buffer, length * 4)),
  ]
  const byRow = (flat: readonly number[], stride: number): number[][] =>
    rows.logits.map((_, row) => flat.slice(row * stride, (row + 1) * stride))
  const marked = byRow(await words(seen, bits.length), seenWords)
  return {
    ids: await words(ids, count),
    positions: await words(positions, count),
    history: byRow(await words(history, count * historyStride), historyStride),
    seen: marked.map((row) => idsOf(row, vocab)),
  }
}

const idsOf = (bits: readonly number[], vocab: number): number[] =>
  Array.from({ length: vocab }, (_, id) => id).filter((id) => ((bits[id >>> 5] as number) >>> (id & 31)) & 1)

/** Hugging Face's repetition penalty, in float64. */
export function penalised(logits: ArrayLike<number>, seen: readonly number[], penalty: number): Float64Array {
  const result = Float64Array.from(logits)
  for (const token of new Set(seen)) {
    const x = result[token] as number
    result[token] = x > 0 ? x / penalty : x * penalty
  }
  return result
}
