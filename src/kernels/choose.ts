import chooseCode from "./choose.wgsl"
import { float, type Kernel } from "./kernel.ts"
import vocabularyCode from "./vocabulary.wgsl"

/** Sizes of a kernel that gives each row of logits one workgroup. */
export interface VocabularyShape {
  /** Tokens of the vocabulary; a row of logits is padded to pad8 of it, and the padding is never looked at. */
  readonly vocab: number
  /** Lanes of the workgroup, a power of two; 256 unless told. */
  readonly lanes?: number | undefined
}

/** What the history holds for a row whose logits were not all numbers. */
export const NOT_A_NUMBER = 0xffffffff

export interface ChooseParameters {
  readonly rows: number
  /** The column of the history that this step writes. */
  readonly step: number
  /** Elements from one row's history to the next. */
  readonly historyStride: number
  /** Divides the logit of every seen token when positive, multiplies it when negative; 1 changes nothing. */
  readonly penalty: number
}

/**
 * Greedy choice with Hugging Face's repetition penalty: each row's token of the highest penalised logit, the lowest id on ties.
 * Binds logits [rows, pad8(vocab)], seen [rows, ceil(vocab / 32)] (a bit per token), ids [rows], positions [rows] and history
 * [rows, historyStride]; sets ids and history to the token, marks it seen, and adds 1 to the position. A row that holds NaN
 * gets {@link NOT_A_NUMBER} in its history and the id 0.
 */
export function choose({ vocab, lanes = 256 }: VocabularyShape): Kernel<ChooseParameters> {
  return {
    label: `choose ${vocab}`,
    code: vocabularyCode + chooseCode,
    constants: { vocab, lanes },
    bindings: ["read", "write", "write", "write", "write"],
    parameters: (p) => [p.rows, p.step, p.historyStride, float(p.penalty), lanes >> 1],
    grid: (p) => [p.rows, 1, 1],
  }
}
