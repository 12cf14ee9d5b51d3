import { pad8 } from "../kernels/kernel.ts"
import type { Core } from "./core.ts"
import type { GpuBuffer } from "./device.ts"
import { drive } from "./drive.ts"
import { type Edit, EditSet } from "./edits.ts"
import { forward, output, unembedRowsAt } from "./llama.ts"
import { Recorder } from "./recorder.ts"
import { cut, eachGroup, places, preparePass, type RowGroup, type RunSequence } from "./sequences.ts"
import type { Steering } from "./steer.ts"

/** What the model thinks of the tokens of one sequence, from `from` on, in nats. */
export interface TokenScores {
  /** log p of each token, given all before it. */
  readonly logprobs: Float64Array
  /** The mean of the log-softmax over the whole vocabulary, at the same places. */
  readonly vocabMeans: Float64Array
  /** The entropy of the distribution that the token was drawn from. */
  readonly entropies: Float64Array
}

/** A sequence to score. */
export interface Sequence {
  readonly ids: readonly number[]
  /** The first token to score, at least 1: nothing precedes the first. */
  readonly from: number
}

export interface ScoreOptions {
  readonly steering?: readonly Steering[]
  readonly edits?: readonly Edit[]
  readonly signal?: AbortSignal
  /** Called with the number of sequences scored so far. */
  readonly onProgress?: (done: number, total: number) => void
}

/**
 * Scores sequences in one teacher-forced pass; rows x vocabulary never leave the GPU.
 * @throws InputError for bad ids, NotFiniteError when a logit is not a number.
 */
export async function score(core: Core, sequences: readonly Sequence[], options: ScoreOptions = {}): Promise<TokenScores[]> {
  const scores: TokenScores[] = new Array(sequences.length)
  let done = 0
  const inputs = scoredInputs(sequences)
  const extent = { rows: inputs.length, positions: Math.max(0, ...inputs.map(({ ids }) => ids.length)) }
  using edits = await EditSet.prepare(core.device, core.config, options.edits ?? [], extent)
  const { steering = [], signal } = options
  const shares = steering.length === 0 && !edits
  await eachGroup(core, inputs, { steering, signal, edits, shares }, async (group) => {
    const members = group.members.map((member) => sequences[member] as Sequence)
    const { own } = await scoreGroup(core, group, members)
    for (const [i, values] of bySequence(members, own, 4).entries()) scores[group.members[i] as number] = tokenScores(values)
    done += members.length
    options.onProgress?.(done, sequences.length)
  })
  const bad = scores.findIndex(({ logprobs }) => logprobs.some(Number.isNaN))
  if (bad >= 0) await core.blameNotFinite(`scoring sequence ${bad}`)
  return scores
}

/** What has to run to score sequences: the last token's own logits predict nothing that is asked for. */
export function scoredInputs(sequences: readonly Sequence[]): RunSequence[] {
  return sequences.map(({ ids, from }) => ({ ids: ids.slice(0, -1), promptLength: from }))
}

/** Another model state's outputs to score beside: f32 [any, pad8(hidden)], and the row of each scored token in them. */
export interface Beside {
  readonly outputs: GpuBuffer
  readonly rows: readonly number[]
}

/** What {@link scoreGroup} gives, token by token and sequence by sequence. */
export interface GroupScores {
  /** Four numbers a token, as the kernel leaves them. */
  readonly own: Float32Array
  /** The same of the other outputs, and the divergence of their predictions from the own ones, one number a token. */
  readonly beside: Float32Array
  readonly divergences: Float32Array
}

/** Scores a group's sequences, and beside them what other outputs predicted at the same places. */
export async function scoreGroup(
  core: Core,
  group: RowGroup,
  members: readonly Sequence[],
  beside?: Beside,
): Promise<GroupScores> {
  const { device, kernels, limits, config } = core
  const targets = members.flatMap(({ ids, from }) => ids.slice(from))
  const none = new Float32Array(0)
  if (targets.length === 0) return { own: none, beside: none, divergences: none }
  // The token at a place predicts the next: place from - 1 is the first wanted one.
  const wanted = group.list.positions.map(
    (position, i) => position + 1 >= (members[group.list.rows[i] as number] as Sequence).from,
  )
  const logitRows = Math.min(limits.logits, targets.length)
  using targetBuffer = device.upload("targets", Uint32Array.from(targets))
  using own = device.createBuffer("scores", targets.length * 16)
  using other = device.createBuffer("scores beside", targets.length * (beside ? 16 : 0))
  using divergences = device.createBuffer("divergences", targets.length * (beside ? 4 : 0))
  using otherLogits = device.createBuffer("logits beside", beside ? logitRows * pad8(config.vocabSize) * 4 : 0)
  using otherRows = device.upload("rows beside", Uint32Array.from(beside?.rows ?? []))
  let offset = 0
  for (const piece of cut(group.list.ids.length, limits.tokens)) {
    const scored = places(piece.count).filter((i) => wanted[piece.first + i])
    using index = device.upload("places", Uint32Array.from(scored))
    const pass = preparePass(core, group, piece, logitRows)
    const { logits } = pass.workspace.buffers
    const recorder = new Recorder(device, `scoring ${piece.count} tokens`)
    const waiting = drive(recorder, pass, forward(recorder, pass))
    if (waiting) await waiting
    for (const { first, count } of cut(scored.length, logitRows)) {
      unembedRowsAt(recorder, pass, output(pass), index, { first, count })
      recorder.run(kernels.logProbs, [logits, targetBuffer, own], { count, offset })
      if (beside) {
        unembedRowsAt(recorder, pass, beside.outputs, otherRows, { first: offset, count }, otherLogits)
        recorder.run(kernels.logProbs, [otherLogits, targetBuffer, other], { count, offset })
        recorder.run(kernels.divergence, [logits, otherLogits, own, other, divergences], { count, offset })
      }
      offset += count
    }
    recorder.submit()
    await device.settled()
  }
  const read = async (buffer: GpuBuffer, floats: number): Promise<Float32Array> =>
    new Float32Array(await device.read(buffer, targets.length * floats * 4))
  if (!beside) return { own: await read(own, 4), beside: none, divergences: none }
  return { own: await read(own, 4), beside: await read(other, 4), divergences: await read(divergences, 1) }
}

/** Cuts values of all scored tokens, `each` a token, into those of each sequence. */
export function bySequence(members: readonly Sequence[], values: Float32Array, each: number): Float32Array[] {
  let at = 0
  return members.map(({ ids, from }) => {
    const count = Math.max(0, ids.length - from)
    at += count
    return values.subarray((at - count) * each, at * each)
  })
}

/** The columns of a sequence's values. */
export function tokenScores(values: Float32Array): TokenScores {
  const column = (c: number): Float64Array =>
    Float64Array.from({ length: values.length / 4 }, (_, i) => values[i * 4 + c] as number)
  return { logprobs: column(0), vocabMeans: column(1), entropies: column(2) }
}
