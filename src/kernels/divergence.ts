import type { VocabularyShape } from "./choose.ts"
import code from "./divergence.wgsl"
import type { Kernel } from "./kernel.ts"
import type { LogProbsParameters } from "./log-probs.ts"

/**
 * The Kullback-Leibler divergence of b's softmax from a's, in nats, for each of `count` rows: how far b's predictions are from
 * a's. Binds logits a and b [count, pad8(vocab)], what `logProbs` left of each [offset + count, 4], and out [offset + count].
 */
export function divergence({ vocab, lanes = 256 }: VocabularyShape): Kernel<LogProbsParameters> {
  return {
    label: `divergence ${vocab}`,
    code,
    constants: { vocab, lanes },
    bindings: ["read", "read", "read", "read", "write"],
    parameters: ({ offset }) => [offset, lanes],
    grid: ({ count }) => [count, 1, 1],
  }
}
