import { pad8 } from "../kernels/kernel.ts"
import type { Core } from "./core.ts"
import { type Completion, completeTogether, eachBatch, type GenerationOptions } from "./generate.ts"
import { bySequence, scoredInputs, scoreGroup, type Sequence, tokenScores, type TokenScores } from "./score.ts"
import { eachGroup } from "./sequences.ts"

/** A completion by the steered model, and what the models with and without steering say of its tokens, in nats. */
export interface JudgedCompletion extends Completion {
  /** By the model without steering or edits, which the ALERT report calls the evaluator. */
  readonly unsteered: TokenScores
  /** By the model that wrote it, without penalty and temperature. */
  readonly steered: TokenScores
  /** The Kullback-Leibler divergence of the steered model's predictions from the unsteered one's, at every token. */
  readonly divergences: Float64Array
}

/**
 * Continues prompts with the steered model and scores the completions with the unsteered one. What the steered model
 * predicted is kept on the GPU while it writes, so its judgement costs no pass of its own.
 */
export async function completeAndJudge(
  core: Core,
  prompts: readonly (readonly number[])[],
  options: GenerationOptions & { readonly tokens: number },
): Promise<JudgedCompletion[]> {
  const { tokens, signal } = options
  const rowFloats = pad8(core.config.hiddenSize)
  const kept = Math.floor(core.device.maxBinding / (tokens * rowFloats * 4))
  const judged: JudgedCompletion[] = []
  await eachBatch(core, prompts, options, kept, async (members, onStep) => {
    const count = members.length
    using outputs = core.device.createBuffer("outputs of the steered model", tokens * count * rowFloats * 4)
    const completions = await completeTogether(core, prompts, members, options, onStep, outputs)
    const sequences = completions.map(({ ids }, row) => {
      const prompt = prompts[members[row] as number] as readonly number[]
      return { ids: [...prompt, ...ids], from: prompt.length }
    })
    const unsteered = { steering: [], edits: undefined, shares: true, signal }
    await eachGroup(core, scoredInputs(sequences), unsteered, async (group) => {
      const own = group.members.map((member) => sequences[member] as Sequence)
      // Outputs lie step by step, all rows of the piece in each.
      const rows = own.flatMap(({ ids, from }, i) =>
        ids.slice(from).map((_, step) => step * count + (group.members[i] as number)),
      )
      const scores = await scoreGroup(core, group, own, { outputs, rows })
      const evaluated = bySequence(own, scores.own, 4)
      const steered = bySequence(own, scores.beside, 4)
      const divergences = bySequence(own, scores.divergences, 1)
      for (const [i, member] of group.members.entries()) {
        judged.push({
          ...(completions[member] as Completion),
          unsteered: tokenScores(evaluated[i] as Float32Array),
          steered: tokenScores(steered[i] as Float32Array),
          divergences: Float64Array.from(divergences[i] as Float32Array),
        })
      }
    })
  })
  const bad = judged.findIndex(({ unsteered }) => unsteered.logprobs.some(Number.isNaN))
  if (bad >= 0) await core.blameNotFinite(`judging completion ${bad}`)
  return judged
}
