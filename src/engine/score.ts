import type { Core } from "./core.ts"
import { drive } from "./drive.ts"
import { type Edit, EditSet } from "./edits.ts"
import { forward, output, unembed } from "./llama.ts"
import { Recorder } from "./recorder.ts"
import { cut, eachGroup, preparePass, type RowGroup } from "./sequences.ts"
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
  // The last token's own logits predict nothing that is asked for.
  const inputs = sequences.map(({ ids, from }) => ({ ids: ids.slice(0, -1), promptLength: from }))
  const extent = { rows: inputs.length, positions: Math.max(0, ...inputs.map(({ ids }) => ids.length)) }
  using edits = await EditSet.prepare(core.device, core.config, options.edits ?? [], extent)
  const { steering = [], signal } = options
  await eachGroup(core, inputs, { steering, signal, edits }, async (group) => {
    const members = group.members.map((member) => sequences[member] as Sequence)
    const values = await scoreGroup(core, group, members)
    let at = 0
    for (const [i, { ids, from }] of members.entries()) {
      const count = Math.max(0, ids.length - from)
      scores[group.members[i] as number] = tokenScores(values.subarray(at * 4, (at + count) * 4))
      at += count
    }
    done += members.length
    options.onProgress?.(done, sequences.length)
  })
  const bad = scores.findIndex(({ logprobs }) => logprobs.some(Number.isNaN))
  if (bad >= 0) await core.blameNotFinite(`scoring sequence ${bad}`)
  return scores
}

/** Four numbers a scored token, as the kernel leaves them, sequence by sequence. */
async function scoreGroup(core: Core, group: RowGroup, members: readonly Sequence[]): Promise<Float32Array> {
  const { device, kernels, limits } = core
  const targets = members.flatMap(({ ids, from }) => ids.slice(from))
  if (targets.length === 0) return new Float32Array(0)
  // The token at a place predicts the next: place from - 1 is the first wanted one.
  const wanted = group.list.positions.map(
    (position, i) => position + 1 >= (members[group.list.rows[i] as number] as Sequence).from,
  )
  using targetBuffer = device.upload("targets", Uint32Array.from(targets))
  using scoreBuffer = device.createBuffer("scores", targets.length * 16)
  const logitRows = Math.min(limits.logits, targets.length)
  let offset = 0
  for (const piece of cut(group.list.ids.length, limits.tokens)) {
    const places = range(piece.count).filter((i) => wanted[piece.first + i])
    using index = device.upload("places", Uint32Array.from(places))
    const pass = preparePass(core, group, piece, logitRows)
    const { selection, selected, logits } = pass.workspace.buffers
    const recorder = new Recorder(device, `scoring ${piece.count} tokens`)
    const waiting = drive(recorder, pass, forward(recorder, pass))
    if (waiting) await waiting
    for (const { first, count } of cut(places.length, logitRows)) {
      recorder.copy(index, selection, count * 4, first * 4)
      recorder.run(kernels.gather, [output(pass), selection, selected], { count })
      unembed(recorder, pass, selected, count)
      recorder.run(kernels.logProbs, [logits, targetBuffer, scoreBuffer], { count, offset })
      offset += count
    }
    recorder.submit()
    await device.settled()
  }
  return new Float32Array(await device.read(scoreBuffer, targets.length * 16))
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

function tokenScores(values: Float32Array): TokenScores {
  const column = (c: number): Float64Array =>
    Float64Array.from({ length: values.length / 4 }, (_, i) => values[i * 4 + c] as number)
  return { logprobs: column(0), vocabMeans: column(1), entropies: column(2) }
}
