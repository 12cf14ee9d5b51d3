import type { Dispatch } from "../../src/engine/profiler.ts"
import type { LlamaConfig } from "../../src/index.ts"
import { pad8 } from "../../src/kernels/kernel.ts"

/** What a computation cannot do without: every number read or written once, and its arithmetic. */
export interface Work {
  readonly bytes: number
  /** A multiply-add counts as two; kernels that move bytes count none. */
  readonly flops: number
}

const WEIGHT_BYTES: Readonly<Record<string, number>> = { f32: 4, f16: 2, bf16: 2 }

/** The work of a dispatch of the forward pass, and what it is over; undefined for a kernel that is not known here. */
export function workOf(dispatch: Dispatch, config: LlamaConfig): { over: string; work: Work | undefined } {
  const { label, grid, parameters, sizes } = dispatch
  const [kind = ""] = label.split(" ")
  if (kind === "matmul") return matmulWork(dispatch)
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config
  const floats = (count: number, over: number = rowsOf(dispatch)) => ({
    over: `x ${over}`,
    work: { bytes: 4 * count * over, flops: 0 },
  })
  switch (kind) {
    case "rms-norm":
    case "gather":
      return floats(2 * pad8(hiddenSize))
    case "residual": {
      const tokens = ((parameters[0] as number) * 4) / pad8(hiddenSize)
      return floats(3 * pad8(hiddenSize), tokens)
    }
    case "steer":
      return floats(2 * pad8(hiddenSize))
    case "silu-gate":
      return floats(3 * intermediateSize)
    case "rotary":
      return floats((2 * heads + 4 * kvHeads + 1) * headDim)
    case "choose":
    case "log-probs":
      return floats(vocabSize)
    case "divergence":
      return floats(2 * vocabSize)
    case "embed": {
      const bytes = WEIGHT_BYTES[label.split(" ")[1] ?? ""] ?? 4
      return { over: `x ${grid[1]}`, work: { bytes: grid[1] * pad8(hiddenSize) * (4 + bytes), flops: 0 } }
    }
    default:
      return { over: sizes.length > 0 ? `x ${Math.max(...grid.slice(0, 2))}` : "", work: undefined }
  }
}

/** Tokens or rows: the axis of the grid that is not the width. */
function rowsOf({ label, grid }: Dispatch): number {
  return /^(rms-norm|choose|log-probs|divergence|steer ways)/.test(label) ? grid[0] : grid[1]
}

function matmulWork({ label, parameters, sizes }: Dispatch): { over: string; work: Work | undefined } {
  const [tokens = 0, , , rows = 0, stride = 0] = parameters
  const each = WEIGHT_BYTES[label.split(" ").at(-1) ?? ""]
  const weights = pad8(rows) * stride * (each ?? 0)
  // A kernel with other parameters is not understood: better no figure than a wrong one.
  if (each === undefined || weights !== sizes[1]) return { over: "", work: undefined }
  const outputs = label.includes("gated") ? rows / 2 : rows
  const work = { bytes: rows * stride * each + 4 * tokens * (outputs + stride), flops: 2 * tokens * rows * stride }
  return { over: `[${rows}, ${stride}] x ${tokens}`, work }
}

/** Rows that run neighbouring tokens at once: `count` of each row, the first at position `from`, in a pass that runs `times` times. */
export interface PassShape {
  readonly rows: number
  readonly from: number
  readonly count: number
}

/** The work of attention in all layers of passes: every key and value of a row read once a pass. */
export function attentionWork(config: LlamaConfig, passes: readonly PassShape[]): Work {
  const { layers, heads, kvHeads, headDim } = config
  let bytes = 0
  let flops = 0
  for (const { rows, from, count } of passes) {
    const keys = from + count
    const pairs = (count * (from + 1 + keys)) / 2 // each token with itself and all before it
    bytes += 4 * rows * headDim * (2 * keys * kvHeads + 2 * count * heads)
    flops += 4 * rows * heads * headDim * pairs
  }
  return { bytes: bytes * layers, flops: flops * layers }
}

/** The passes of a generation: the prompt but its last token's logits, then token by token. */
export function generationPasses(rows: number, prompt: number, tokens: number): PassShape[] {
  const steps = Array.from({ length: tokens - 1 }, (_, step) => ({ rows, from: prompt + step, count: 1 }))
  return [{ rows, from: 0, count: prompt }, ...steps]
}

/** Of the products with weights: all layers for every token, the head for those whose logits are wanted. */
export function matrixFlops(config: LlamaConfig, tokens: number, outputs: number): number {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, layers, vocabSize } = config
  const layer = hiddenSize * headDim * (2 * heads + 2 * kvHeads) + 3 * hiddenSize * intermediateSize
  return 2 * (tokens * layers * layer + outputs * vocabSize * hiddenSize)
}
