import { stat } from "node:fs/promises"
import { join } from "node:path"
import {
  type EncodedPrompt,
  findSettings,
  Labels,
  type LlamaConfig,
  type Model,
  type Sensitivity,
  sensitivity,
  type StudiedTopic,
  type StudySettings,
  type StudyTopic,
  studyTopics,
  studyVariations,
  type TopicRecord,
  trainVector,
  type Truth,
  type Variation,
} from "../index.ts"
import { type OpenStudy, openStudy, topicFolder, writeFileAtomic } from "../node.ts"
import type { Context } from "./command.ts"
import { Once } from "../engine/once.ts"
import { checkLayers, middleThird } from "./layers.ts"
import { asPrompts } from "./prompts.ts"
import { type LoadedFrom, openSearch, type RunFacts, runFacts } from "./run-record.ts"
import { loadBeside, modelPath, openSession, type Session } from "./session.ts"
import type { StudyRequest } from "./study-request.ts"
import { type InstructSide, instructFolder, messagesOf, variationsOf } from "./study-variations.ts"

/** What a study of pairs or of runs gives. */
export interface StudyOutcome {
  readonly model: Readonly<Record<string, unknown>>
  readonly adapter: Readonly<Record<string, unknown>>
  readonly settings: Readonly<Record<string, unknown>>
  readonly studied: readonly StudiedTopic[]
  readonly sensitivity: readonly Sensitivity[]
  /** Its folder, where one was asked for. */
  readonly open?: OpenStudy
}

/** Of texts that wait for their labels. */
const UNKNOWN: Truth = { coherence: () => null }

/** Trains a vector of every topic, runs its grid, and the variations where they are asked for. */
export async function studyPairs(context: Context, asked: StudyRequest): Promise<StudyOutcome> {
  const { options, signal } = context
  using session = await openSession(context, (config: LlamaConfig) => checkLayers(asked.layers ?? [], config))
  using evaluator = await loadBeside(asked.evaluator, session, context)
  session.announce()
  const { model } = session
  const request = { ...asked, layers: asked.layers ?? middleThird(model.config.layers) }
  const prompts = asPrompts(model, request.prompts, options, request.tokens)
  const study = new PairsStudy(context, request, session, evaluator, prompts)
  const open = await study.open()
  const topics = await trainTopics(model, request, context)
  const truth = request.truth?.truth ?? UNKNOWN
  const { coefficients, layers, tokens, repetitionPenalty, temperature, seed } = request
  const settings = { prompts, coefficients, layers, tokens, repetitionPenalty, temperature, seed }
  const base: StudySettings = { ...settings, truth, ...(evaluator && { evaluator }), signal }
  const studied = await studyTopics(model, topics, {
    ...base,
    ...(open && {
      record: (topic) =>
        study.record(topicFolder(request.out as string, topic.name), topic, base, undefined, open.losses(topic.name)),
      onTopic: (topic) => open.add(topic),
    }),
    onProgress: ({ topic, done, total }) => context.terminal.progress(`studying ${topic}, ${done + 1} of ${total}`),
  })
  const rows = options.has("sensitivity") ? await study.vary(topics, studied, base) : []
  const { model: described, adapter } = await study.facts()
  return { model: described, adapter, settings, studied, sensitivity: rows, ...(open && { open }) }
}

/** Writes labels.json, to be filled in, into a study's folder; one that is there stays as it is. */
export async function writeLabelsTemplate(folder: string, { topics, coefficients }: StudyRequest): Promise<string> {
  const file = join(folder, "labels.json")
  const there = await stat(file).catch(() => undefined)
  if (!there) await writeFileAtomic(file, Labels.template(new Map(topics.map(({ name }) => [name, coefficients]))))
  return file
}

/** A request whose layers are settled. */
type Settled = StudyRequest & { readonly layers: readonly number[] }

/** What the parts of a study of pairs share. */
class PairsStudy {
  readonly #context: Context
  readonly #request: Settled
  readonly #session: Session
  readonly #evaluator: LoadedFrom | undefined
  readonly #prompts: readonly EncodedPrompt[]
  /** By the folders of who writes and who judges: models are hashed for them. */
  readonly #facts = new Once()

  constructor(
    context: Context,
    request: Settled,
    session: Session,
    evaluator: Model | undefined,
    prompts: readonly EncodedPrompt[],
  ) {
    this.#context = context
    this.#request = request
    this.#session = session
    this.#evaluator = evaluator && { model: evaluator, folder: request.evaluator as string }
    this.#prompts = prompts
  }

  get #writer(): LoadedFrom {
    return { model: this.#session.model, folder: modelPath(this.#context.options) }
  }

  /** The facts of a run; the study's own model writes and judges as asked, unless others are told. */
  facts(writer: LoadedFrom = this.#writer, judge: LoadedFrom | undefined = this.#evaluator): Promise<RunFacts> {
    const key = `${writer.folder}\n${judge?.folder}`
    return this.#facts.get(key, () => runFacts(this.#session.device, writer, judge))
  }

  /** Its folder, where --out asks for one. */
  async open(): Promise<OpenStudy | undefined> {
    const { out, layers, topics, truth } = this.#request
    if (out === undefined) return undefined
    const settings = findSettings(this.#request)
    const identity = { ...(await this.facts()), layers, prompts: this.#prompts, settings }
    const from = Object.fromEntries(topics.map((topic) => [topic.name, { from: topic.from, sha256: topic.sha256 }]))
    return openStudy(out, identity, { topics: from, truth: truth?.describe ?? {} })
  }

  /** Opens the record of a topic's search in a folder; the study's own model writes, unless another is told with its facts. */
  async record(
    folder: string,
    topic: StudyTopic,
    settings: StudySettings,
    writer: { readonly facts: RunFacts; readonly model: Model } | undefined,
    losses: ReadonlyMap<number, number> = new Map(),
  ): Promise<TopicRecord> {
    const { facts, model } = writer ?? { facts: await this.facts(), model: this.#session.model }
    const prompts = settings.prompts as readonly EncodedPrompt[]
    const search = { vector: topic.vector, prompts, settings: findSettings(settings) }
    const run = await openSearch(folder, facts, search, model, this.#context.terminal)
    await writeFileAtomic(join(folder, "vector.safetensors"), topic.vector.toSafetensors())
    return { ...run, losses, finish: (found) => run.finish(found), [Symbol.dispose]: () => run.close() }
  }

  /** Everything again with one setting changed at a time. */
  async vary(topics: readonly StudyTopic[], reference: readonly StudiedTopic[], base: StudySettings): Promise<Sensitivity[]> {
    const { terminal } = this.#context
    const folder = instructFolder(this.#context)
    using instruct = await loadBeside(folder, this.#session, this.#context)
    const side = instruct && (await this.#instructSide(instruct, folder as string))
    const variations = variationsOf(this.#context, this.#session.model, this.#request, side)
    const { out } = this.#request
    const done = await studyVariations(this.#session.model, topics, variations, {
      ...base,
      ...(out !== undefined && {
        record: async (variation, topic) => {
          const facts = await this.#factsOf(variation, instruct && { model: instruct, folder: folder as string })
          const writer = { facts, model: variation.generator?.model ?? this.#session.model }
          return this.record(variationFolder(out, variation, topic), topic, { ...base, ...variation.options }, writer)
        },
      }),
      onVariation: ({ setting, value }, i, total) => terminal.note(`note: sensitivity ${i + 1} of ${total}: ${setting} ${value}`),
      onProgress: ({ topic, done: ready, total }) => terminal.progress(`studying ${topic}, ${ready + 1} of ${total}`),
    })
    return sensitivity(reference, done)
  }

  async #instructSide(model: Model, folder: string): Promise<InstructSide> {
    const messages = await messagesOf(folder, this.#request.prompts)
    return { model, topics: await trainTopics(model, this.#request, this.#context), messages }
  }

  #factsOf({ generator, options: { evaluator } }: Variation, instruct: LoadedFrom | undefined): Promise<RunFacts> {
    const judge = evaluator && (evaluator === instruct?.model ? instruct : this.#writer)
    return this.facts(generator && instruct ? instruct : this.#writer, judge ?? this.#evaluator)
  }
}

async function trainTopics(model: Model, { topics, layers }: Settled, { terminal, signal }: Context): Promise<StudyTopic[]> {
  const trained: StudyTopic[] = []
  for (const { name, pairs, from } of topics) {
    terminal.progress(`training vector ${trained.length + 1} of ${topics.length}`)
    trained.push({ name, vector: await trainVector(model, pairs, { layers, createdFrom: from, signal }) })
  }
  return trained
}

function variationFolder(out: string, { setting, value, run }: Variation, { name }: StudyTopic): string {
  const parts = [setting, value, ...(run === undefined ? [] : [run])].map((part) => part.replaceAll(/[^\w.]+/g, "-"))
  return join(out, "sensitivity", ...parts, name)
}
