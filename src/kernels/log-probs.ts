import type { VocabularyShape } from "./choose.ts"
import type { Kernel } from "./kernel.ts"
import logProbsCode from "./log-probs.wgsl"

export interface LogProbsParameters {
  /** Rows of logits. */
  readonly count: number
  /** Where in targets and out the first row of logits belongs. */
  readonly offset: number
}

/**
 * For each row of logits, in nats: the log-softmax at the row's target (0 for a target outside the vocabulary), the mean of the
 * log-softmax over the vocabulary, the entropy of the softmax, and the log-sum-exp. Binds logits [count, pad8(vocab)], targets
 * [offset + count] and out [offset + count, 4]. A row with NaN or +infinity gives four NaN.
 */
export function logProbs({ vocab, lanes = 256 }: VocabularyShape): Kernel<LogProbsParameters> {
  return {
    label: `log-probs ${vocab}`,
    code: logProbsCode,
    constants: { vocab, lanes },
    bindings: ["read", "read", "write"],
    parameters: (p) => [p.count, p.offset, lanes >> 1],
    grid: (p) => [p.count, 1, 1],
  }
}
