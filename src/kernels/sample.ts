import type { ChooseParameters, VocabularyShape } from "./choose.ts"
import { float, type Kernel } from "./kernel.ts"
import sampleCode from "./sample.wgsl"
import vocabularyCode from "./vocabulary.wgsl"

export interface SampleParameters extends ChooseParameters {
  /** Above 0; small values approach the greedy choice. */
  readonly temperature: number
  /** Keeps the most probable tokens that together reach this probability, ties with the last included; 1 keeps all. */
  readonly topP: number
}

/**
 * Draws each row's next token as Hugging Face does: repetition penalty, temperature, nucleus (top-p), then the inverse of the
 * cumulative probability at a number hashed from the row's seed and the step. Binds what `choose` binds, then seeds [rows],
 * and leaves the same behind. Works with NaN as `choose` does; tokens of a logit of -infinity are never drawn unless all are.
 */
export function sample({ vocab, lanes = 256 }: VocabularyShape): Kernel<SampleParameters> {
  return {
    label: `sample ${vocab}`,
    code: vocabularyCode + sampleCode,
    constants: { vocab, lanes },
    bindings: ["read", "write", "write", "write", "write", "read"],
    parameters: (p) => [p.rows, p.step, p.historyStride, float(p.penalty), lanes >> 1, float(p.temperature), float(p.topP)],
    grid: (p) => [p.rows, 1, 1],
  }
}
