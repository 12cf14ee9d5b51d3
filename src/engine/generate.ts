import { NOT_A_NUMBER } from "../kernels/choose.ts"
import { ceilDiv, pad8 } from "../kernels/kernel.ts"
import type { Core } from "./core.ts"
import type { GpuBuffer } from "./device.ts"
import { drive } from "./drive.ts"
import { type Edit, EditSet } from "./edits.ts"
import { forward, output, unembed } from "./llama.ts"
import { KvCache } from "./memory.ts"
import { prefill } from "./prefill.ts"
import { noPrefixes, Prefixes, sharedPrefixes } from "./prefixes.ts"
import { Recorder } from "./recorder.ts"
import { cut, passOf, places, type RowGroup, tokenList } from "./sequences.ts"
import { type Steering, SteeringBuffers } from "./steer.ts"

export interface GenerationOptions {
  /** New tokens of a row at most. */
  readonly tokens?: number
  /** Hugging Face's: the logit of every token seen, prompt included, is divided by it when positive, multiplied when negative. */
  readonly repetitionPenalty?: number
  /** 0 chooses greedily. */
  readonly temperature?: number
  /** Nucleus sampling: the most probable tokens that together reach this probability. */
  readonly topP?: number
  /** Seed of the sampling; row i draws with seed + i. */
  readonly seed?: number
  readonly steering?: readonly Steering[]
  /** Changes of internals while the model runs. */
  readonly edits?: readonly Edit[]
  /** Also return each new token's log-prob under the model as it generates (steered; before penalty and temperature). */
  readonly logprobs?: boolean
  /** Ids that end a row; they are its last token. */
  readonly endIds?: readonly number[]
  readonly signal?: AbortSignal
  /** Called as a batch goes on: steps done, of at most `total` for all its pieces. */
  readonly onProgress?: (done: number, total: number) => void
}

/** New tokens of one row. */
export interface Completion {
  readonly ids: readonly number[]
  /** Natural logs, where asked for. */
  readonly logprobs: readonly number[] | undefined
  /** Whether an end token or the number of tokens stopped it. */
  readonly stopped: "end" | "length"
}

/** New tokens of all rows of a batch since the last step; a row that has ended gets none. */
export interface Step {
  /** Steps so far. */
  readonly done: number
  readonly ids: readonly (readonly number[])[]
  readonly logprobs: readonly (readonly number[])[]
}

/** Steps between two looks at what was generated, where nobody watches: rows that have all ended stop then. */
const STEPS_BETWEEN_READS = 8

/**
 * Continues a batch of prompts, all rows together, entirely on the GPU. Batches larger than the device takes at once run
 * in pieces.
 * @throws NotFiniteError when a logit is not a number.
 */
export async function complete(
  core: Core,
  prompts: readonly (readonly number[])[],
  options: GenerationOptions = {},
): Promise<Completion[]> {
  const completions: Completion[] = []
  await eachBatch(core, prompts, options, Infinity, async (members, onStep) => {
    completions.push(...(await completeTogether(core, prompts, members, options, onStep)))
  })
  return completions
}

/** Cuts prompts into batches of at most `most` rows that the device takes; `visit` gets each one's members and reports its steps. */
export async function eachBatch(
  core: Core,
  prompts: readonly (readonly number[])[],
  options: GenerationOptions,
  most: number,
  visit: (members: readonly number[], onStep: (done: number) => void) => Promise<void>,
): Promise<void> {
  const { tokens } = withDefaults(options)
  const longest = Math.max(0, ...prompts.map((ids) => ids.length))
  const batches = cut(prompts.length, Math.max(1, Math.min(core.limits.rows(longest + tokens), most)))
  for (const [batch, { first, count }] of batches.entries()) {
    const members = places(count).map((i) => first + i)
    await visit(members, (done) => options.onProgress?.(batch * tokens + done, batches.length * tokens))
  }
}

/**
 * Continues the prompts `members` of a list as one batch.
 * @param outputs Where to keep what the head got for every new token, f32 [tokens, members, pad8(hidden)].
 */
export async function completeTogether(
  core: Core,
  prompts: readonly (readonly number[])[],
  members: readonly number[],
  options: GenerationOptions,
  onStep: (done: number) => void,
  outputs?: GpuBuffer,
): Promise<Completion[]> {
  const { endIds } = withDefaults(options)
  const ids: number[][] = members.map(() => [])
  const logprobs: number[][] = members.map(() => [])
  for await (const step of decode(core, prompts, members, options, STEPS_BETWEEN_READS, outputs)) {
    for (let row = 0; row < members.length; row++) {
      ids[row]?.push(...(step.ids[row] as number[]))
      logprobs[row]?.push(...(step.logprobs[row] as number[]))
    }
    onStep(step.done)
  }
  return ids.map((own, row) => {
    const ended = own.length > 0 && endIds.includes(own.at(-1) as number)
    return { ids: own, logprobs: options.logprobs ? logprobs[row] : undefined, stopped: ended ? "end" : "length" }
  })
}

/** Continues the prompts `members` of a list as one batch and yields what is new after every `interval` steps. */
export async function* decode(
  core: Core,
  prompts: readonly (readonly number[])[],
  members: readonly number[],
  options: GenerationOptions,
  interval: number,
  outputs?: GpuBuffer,
): AsyncGenerator<Step, void, undefined> {
  const settings = withDefaults(options)
  if (settings.tokens === 0 || members.length === 0) return
  const own = members.map((member) => prompts[member] as readonly number[])
  const capacity = Math.max(...own.map((ids) => ids.length)) + settings.tokens
  using cache = new KvCache(core.device, core.config, members.length, capacity)
  const steered = own.map((ids, i) => ({ index: members[i] as number, promptLength: ids.length }))
  using steering = SteeringBuffers.upload(core.device, core.config, settings.steering, steered)
  const extent = { rows: prompts.length, positions: capacity }
  using edits = await EditSet.prepare(core.device, core.config, settings.edits, extent)
  const depth = core.config.layers
  // Prompts are alike in the layers before steering parts them; edits may part them anywhere.
  const shared = edits
    ? noPrefixes(own.length)
    : sharedPrefixes(
        own,
        own.map((ids) => ids.length),
      )
  using prefixes = new Prefixes(core.device, shared, Math.min(depth, steering.firstOnPrompts + 1))
  const group: RowGroup = { members, list: tokenList(own), cache, prefixes, steering, edits, depth }
  using state = new DecodingState(core, own, members, settings)
  core.workspace(own.length, own.length, edits) // grown now, where its failure is known at once
  await core.device.settled()
  await prefill(core, group, own, shared, state.lastOutput)
  const ended = members.map(() => false)
  const look = async (made: Promise<Made>): Promise<Step> => {
    const { from, to, ...news } = await made
    if (news.ids.some((ids) => ids.includes(NOT_A_NUMBER))) await core.blameNotFinite(`generating token ${from + 1}`)
    return { done: to, ...cutAtEnds(news, ended, settings.endIds) }
  }
  let read = 0
  let before: Promise<Made> | undefined
  for (let step = 0; step < settings.tokens && ended.includes(false); step++) {
    settings.signal?.throwIfAborted()
    await runStep(core, group, state, settings, step, outputs)
    if ((step + 1) % interval !== 0 && step + 1 < settings.tokens) continue
    const made = state.read(read, step + 1)
    read = step + 1
    // Whoever watches every token sees it at once. Others see an interval's tokens while the GPU makes the next.
    if (interval === 1) {
      yield await look(made)
      continue
    }
    made.catch(() => {}) // nobody looks at it where the caller leaves before
    if (before) yield await look(before)
    before = made
  }
  if (before) yield await look(before)
}

type Settings = ReturnType<typeof withDefaults>

function withDefaults(options: GenerationOptions) {
  return {
    tokens: options.tokens ?? 32,
    penalty: options.repetitionPenalty ?? 1,
    temperature: options.temperature ?? 0,
    topP: options.topP ?? 1,
    seed: options.seed ?? 0,
    steering: options.steering ?? [],
    edits: options.edits ?? [],
    logprobs: options.logprobs ?? false,
    endIds: options.endIds ?? [],
    signal: options.signal,
  }
}

/** The tokens of steps `from` up to `to`, row by row. */
interface Made {
  readonly from: number
  readonly to: number
  readonly ids: number[][]
  readonly logprobs: number[][]
}

/** What a batch carries from step to step on the GPU: the ids go from one step into the next without the host. */
class DecodingState implements Disposable {
  readonly rows: number
  readonly rowIndex: GpuBuffer
  readonly ids: GpuBuffer
  readonly positions: GpuBuffer
  /** A bit per token of the vocabulary, set when the row has seen it. u32 [rows, ceil(vocab / 32)] */
  readonly seen: GpuBuffer
  readonly seeds: GpuBuffer
  /** u32 [rows, tokens] */
  readonly history: GpuBuffer
  /** What the head needs of each prompt's last token, f32 [rows, pad8(hidden)] */
  readonly lastOutput: GpuBuffer
  readonly promptLengths: readonly number[]
  /** f32 [rows, 4], and [tokens, rows, 4]; where log-probs are wanted. */
  readonly scores: GpuBuffer | undefined
  readonly allScores: GpuBuffer | undefined
  readonly #core: Core
  readonly #tokens: number

  constructor(core: Core, prompts: readonly (readonly number[])[], members: readonly number[], settings: Settings) {
    const { device, config } = core
    const rows = prompts.length
    this.#core = core
    this.#tokens = settings.tokens
    this.rows = rows
    this.rowIndex = device.upload("row index", Uint32Array.from(prompts.keys()))
    this.ids = device.createBuffer("next ids", rows * 4)
    // The kernel that chooses a token moves the position on to it.
    this.positions = device.upload(
      "positions",
      Uint32Array.from(prompts, (ids) => ids.length - 1),
    )
    this.seen = device.upload("seen tokens", seenBits(prompts, config.vocabSize))
    this.seeds = device.upload(
      "seeds",
      Uint32Array.from(members, (member) => settings.seed + member),
    )
    this.history = device.createBuffer("history", rows * settings.tokens * 4)
    this.promptLengths = prompts.map((ids) => ids.length)
    this.lastOutput = device.createBuffer("last output", rows * pad8(config.hiddenSize) * 4)
    if (settings.logprobs) {
      this.scores = device.createBuffer("scores", rows * 16)
      this.allScores = device.createBuffer("all scores", settings.tokens * rows * 16)
    }
  }

  /** What was made in the steps submitted so far, from `from` up to `to`. */
  async read(from: number, to: number): Promise<Made> {
    const { device } = this.#core
    const none = Promise.resolve(new ArrayBuffer(0))
    const reads = [device.read(this.history), this.allScores ? device.read(this.allScores) : none] as const
    const [history, scores] = await Promise.all(reads)
    const steps = places(to - from).map((i) => from + i)
    const rows = places(this.rows)
    const made = new Uint32Array(history)
    const floats = new Float32Array(scores)
    return {
      from,
      to,
      ids: rows.map((row) => steps.map((step) => made[row * this.#tokens + step] as number)),
      logprobs: rows.map((row) => (this.allScores ? steps.map((step) => floats[(step * this.rows + row) * 4] as number) : [])),
    }
  }

  dispose(): void {
    const { rowIndex, ids, positions, seen, seeds, history, lastOutput, scores, allScores } = this
    for (const buffer of [rowIndex, ids, positions, seen, seeds, history, lastOutput, scores, allScores]) buffer?.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

function seenBits(prompts: readonly (readonly number[])[], vocab: number): Uint32Array {
  const words = ceilDiv(vocab, 32)
  const bits = new Uint32Array(prompts.length * words)
  for (const [row, ids] of prompts.entries()) {
    for (const id of ids) bits[row * words + (id >>> 5)] = (bits[row * words + (id >>> 5)] as number) | (1 << (id & 31))
  }
  return bits
}

/** One step of all rows: the forward pass over the tokens chosen last (the prompts have run already), logits, and the choice. */
async function runStep(
  core: Core,
  group: RowGroup,
  state: DecodingState,
  settings: Settings,
  step: number,
  outputs: GpuBuffer | undefined,
): Promise<void> {
  const { config, kernels, device } = core
  const { rows, ids, positions, seen, seeds, history, scores, allScores } = state
  const workspace = core.workspace(rows, rows, group.edits)
  const { logits } = workspace.buffers
  const place = (row: number): { row: number; position: number } => ({
    row: group.members[row] as number,
    position: (state.promptLengths[row] as number) + step - 1,
  })
  const pass = passOf(core, group, { tokens: rows, ids, rows: state.rowIndex, positions, single: true }, workspace, place)
  const recorder = new Recorder(device, `generating token ${step + 1}`)
  const waiting = step > 0 ? drive(recorder, pass, forward(recorder, pass)) : undefined
  if (waiting) await waiting
  const last = step > 0 ? output(pass) : state.lastOutput
  const rowsBytes = rows * pad8(config.hiddenSize) * 4
  if (outputs) recorder.copy(last, outputs, rowsBytes, 0, step * rowsBytes)
  unembed(recorder, pass, last, rows)
  const { penalty, temperature, topP } = settings
  const choice = { rows, step, historyStride: settings.tokens, penalty }
  if (temperature === 0) recorder.run(kernels.choose, [logits, seen, ids, positions, history], choice)
  else recorder.run(kernels.sample, [logits, seen, ids, positions, history, seeds], { ...choice, temperature, topP })
  if (scores && allScores) {
    recorder.run(kernels.logProbs, [logits, ids, scores], { count: rows, offset: 0 })
    recorder.copy(scores, allScores, rows * 16, 0, step * rows * 16)
  }
  recorder.submit()
}

/** Drops what rows made after their end token, and marks the rows that end here. */
function cutAtEnds(news: Pick<Made, "ids" | "logprobs">, ended: boolean[], endIds: readonly number[]): Omit<Step, "done"> {
  const kept = news.ids.map((ids, row) => {
    if (ended[row]) return 0
    const end = ids.findIndex((id) => endIds.includes(id))
    if (end >= 0) ended[row] = true
    return end >= 0 ? end + 1 : ids.length
  })
  return {
    ids: news.ids.map((ids, row) => ids.slice(0, kept[row])),
    logprobs: news.logprobs.map((values, row) => values.slice(0, kept[row])),
  }
}
