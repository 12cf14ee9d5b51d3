import { count } from "../../src/cli/options.ts"
import { InputError, type Sequence, type TokenScores } from "../../src/index.ts"
import { loadBenchModel, modelFacts, randomPrompts, randomSteering } from "./model.ts"
import { columns, percent } from "./numbers.ts"
import type { Benchmark, BenchContext } from "./report.ts"

/** What a model makes of prompts: its greedy tokens, and its log-probs of given ones. */
interface Made {
  readonly ids: readonly (readonly number[])[]
  readonly scores: readonly TokenScores[]
}

/** Greedy tokens and log-probs by `--matmul` beside those of the f32 path, steered by coefficients from 0 upwards. */
export const agreementBenchmark: Benchmark = {
  options: { "rows": "64", "tokens": "32", "prompt-tokens": "8" },
  async run(context) {
    const { options } = context
    const matmul = options.required("matmul", "name what is compared with f32: matrix or matrix-exact")
    if (matmul === "f32" || matmul === "auto") {
      throw new InputError({ where: "--matmul", expected: "matrix or matrix-exact", found: matmul })
    }
    const plain = await make(context, "f32")
    const other = await make(context, matmul, plain.sequences)
    const found = compareMade(plain, other)
    const lines = [
      `${other.facts["model"] as string} by ${matmul} beside f32, ${plain.ids.length} rows of ${options.text("tokens")} tokens`,
      ...columns([
        ["rows with the same greedy tokens", percent(found.sameRows)],
        ["mean difference of the log-probs of f32's tokens", `${found.mean.toExponential(1)} nats`],
        ["largest", `${found.worst.toExponential(1)} nats`],
      ]),
    ]
    return { lines, json: { ...other.facts, rows: plain.ids.length, ...found } }
  },
}

/** How far two models agree: the share of rows with the same tokens, and how their log-probs of the first's tokens differ. */
export function compareMade(a: Made, b: Made): { sameRows: number; mean: number; worst: number } {
  const same = a.ids.filter((ids, row) => ids.join() === b.ids[row]?.join()).length
  const differences = a.scores.flatMap(({ logprobs }, row) =>
    [...logprobs].map((logprob, i) => Math.abs(logprob - (b.scores[row]?.logprobs[i] ?? NaN))),
  )
  const sum = differences.reduce((total, difference) => total + difference, 0)
  return { sameRows: same / a.ids.length, mean: sum / differences.length, worst: Math.max(...differences) }
}

/** One model at a time, so that a card holds one. Without sequences its own completions are scored. */
async function make(
  context: BenchContext,
  matmul: string,
  given?: readonly Sequence[],
): Promise<Made & { readonly sequences: readonly Sequence[]; readonly facts: Record<string, unknown> }> {
  const { options } = context
  const [rows, tokens, length] = ["rows", "tokens", "prompt-tokens"].map((name) => options.number(name, count) as number)
  await using loaded = await loadBenchModel(context, matmul)
  const { model } = loaded
  const prompts = randomPrompts(rows as number, length as number, model.config.vocabSize)
  const steering = randomSteering(
    model,
    prompts.map((_, row) => (8 * row) / prompts.length),
  )
  const made = await model.complete(prompts, { tokens: tokens as number, endIds: [], repetitionPenalty: 1.1, steering })
  const ids = made.map((completion) => completion.ids)
  const sequences = given ?? sequencesOf(prompts, ids)
  const scores = await model.score(sequences, { steering })
  return { ids, scores, sequences, facts: { ...modelFacts(loaded), precision: model.precision } }
}

function sequencesOf(prompts: readonly (readonly number[])[], ids: Made["ids"]): Sequence[] {
  return prompts.map((prompt, row) => ({ ids: [...prompt, ...(ids[row] as readonly number[])], from: prompt.length }))
}
