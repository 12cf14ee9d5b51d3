import { type Checkpoint, openCheckpoint } from "./checkpoint.ts"
import type { Folder } from "./bytes.ts"
import type { ChatMessage } from "./chat.ts"
import type { LlamaConfig } from "./config.ts"
import { Core } from "./core.ts"
import type { Device } from "./device.ts"
import { InputError } from "./errors.ts"
import { type Completion, type GenerationOptions, complete, decode, type Step } from "./generate.ts"
import { completeAndJudge, type JudgedCompletion } from "./judge.ts"
import { type MatmulOptions, type Precision, precisionWarnings } from "./matmul-path.ts"
import { type MemoryPlan, planMemory } from "./memory.ts"
import { run, type RunOptions, type RunResult, unembedRows } from "./run.ts"
import { score, type ScoreOptions, type Sequence, type TokenScores } from "./score.ts"
import type { Tokenizer } from "./tokenizer.ts"
import type { LoadOptions } from "./weights.ts"

/** A text, encoded as the tokenizer's post-processor says, or ids taken as they are. */
export type Prompt = string | readonly number[]

export interface LoadModelOptions extends LoadOptions, MatmulOptions {
  readonly device: Device
}

// Llama 3's ends of a text, a message and a turn: a completion ends at them even where the config names fewer.
const END_TOKENS = ["<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"]

/**
 * A Llama 3 model on a device: encode, run, score, generate. Dispose it to free its GPU memory; the device stays open.
 *
 * Calls may overlap: each keeps its own state, and the device runs what they submit in order.
 */
export class Model implements Disposable {
  /** The last part of the folder's name. */
  readonly name: string
  readonly config: LlamaConfig
  readonly device: Device
  /** Undefined when the folder has none: prompts are then ids, and completions have no text. */
  readonly tokenizer: Tokenizer | undefined
  /** What was odd about the checkpoint, a line each. */
  readonly warnings: readonly string[]
  /** How its matrices are multiplied, and what that took from the weights. */
  readonly precision: Precision
  /** Ids at which a completion ends. */
  readonly endIds: readonly number[]
  readonly #core: Core
  readonly #checkpoint: Checkpoint

  private constructor(core: Core, checkpoint: Checkpoint) {
    this.name = checkpoint.folder.name.replace(/[/\\]+$/, "").replace(/^.*[/\\]/, "")
    this.config = checkpoint.config
    this.device = core.device
    this.tokenizer = checkpoint.tokenizer
    this.precision = core.precision
    this.warnings = [...checkpoint.warnings, ...precisionWarnings(core.precision)]
    this.#core = core
    this.#checkpoint = checkpoint
    const { vocabSize } = this.config
    const named = END_TOKENS.flatMap((token) => this.tokenizer?.id(token) ?? []).filter((id) => id < vocabSize)
    this.endIds = [...new Set([...this.config.eosIds, ...named])]
  }

  /**
   * Loads a model from a folder of Hugging Face files, or from a checkpoint that was opened before (its files still open).
   * @throws InputError for files that are absent or broken or matrix units that are not there, OutOfMemoryError naming the tensor that did not fit.
   */
  static async load(from: Folder | Checkpoint, options: LoadModelOptions): Promise<Model> {
    const checkpoint = "tensors" in from ? from : await openCheckpoint(from)
    return new Model(await Core.load(options.device, checkpoint, options), checkpoint)
  }

  /**
   * The ids of a prompt.
   * @throws InputError when it is empty, outside the vocabulary or longer than the context with `more` tokens after it.
   */
  encode(prompt: Prompt, more = 0): number[] {
    const where = typeof prompt === "string" ? `prompt ${quote(prompt)}` : "ids"
    const ids = typeof prompt === "string" ? this.#encodeText(prompt, where) : [...prompt]
    this.#core.checkIds(ids, where, more)
    return ids
  }

  /**
   * The ids of a conversation in the model's chat template, up to where the assistant's answer begins. Special tokens that a
   * message spells out become their ids.
   * @throws InputError without a chat template, for messages that it refuses, or ids as {@link encode}.
   * @example
   * const completions = await model.complete([model.encodeChat([{ role: "user", content: "What is a bridge?" }])])
   */
  encodeChat(messages: readonly ChatMessage[], more = 0): number[] {
    const tokenizer = this.#needTokenizer("chat")
    const template = this.#checkpoint.chat
    if (!template) {
      const todo = "choose an instruct model, or give the prompt as plain text"
      throw new InputError({ where: this.name, expected: "a model with a chat template", found: "none", todo })
    }
    const ids = tokenizer.encode(template.render(messages), { addSpecial: false })
    this.#core.checkIds(ids, `chat ${quote(messages.at(-1)?.content ?? "")}`, more)
    return ids
  }

  /** Whether {@link encodeChat} has a template to write a conversation with. */
  get hasChatTemplate(): boolean {
    return this.#checkpoint.chat !== undefined
  }

  /** The text of ids, special tokens left away; undefined without a tokenizer. */
  decode(ids: readonly number[]): string | undefined {
    return this.tokenizer?.decode(ids)
  }

  /**
   * Runs prompts and returns logits [row, pos, vocab] and captured internals.
   * @example
   * const { captured } = await model.run(["I am happy"], { capture: ["blocks.*.hook_resid_post"], logits: false })
   */
  async run(
    prompts: readonly Prompt[],
    options: RunOptions = {},
  ): Promise<RunResult & { readonly ids: readonly (readonly number[])[] }> {
    const ids = prompts.map((prompt) => this.encode(prompt))
    return { ids, ...(await run(this.#core, ids, options)) }
  }

  /**
   * The log-prob of every token of each sequence from `from` on, given those before it, in nats, with the mean
   * log-softmax over the vocabulary and the entropy at the same places.
   */
  async score(sequences: readonly Sequence[], options: ScoreOptions = {}): Promise<TokenScores[]> {
    for (const { ids, from } of sequences) {
      this.#core.checkIds(ids, "ids")
      if (Number.isInteger(from) && from >= 1 && from <= ids.length) continue
      const todo = "nothing comes before the first token, so it cannot be scored"
      throw new InputError({ where: "prompt length", expected: `1 to ${ids.length}`, found: `${from}`, todo })
    }
    return score(this.#core, sequences, options)
  }

  /**
   * The logits [vocab] of rows of the residual stream [hidden]: the final norm and the head, as after the last layer (the
   * logit lens, nostalgebraist 2020).
   * @throws InputError for a row of another width.
   */
  async unembed(rows: readonly Float32Array[]): Promise<Float32Array[]> {
    const bad = rows.find((row) => row.length !== this.config.hiddenSize)
    if (bad)
      throw new InputError({
        where: "unembed",
        expected: `rows of width ${this.config.hiddenSize}`,
        found: `width ${bad.length}`,
      })
    return unembedRows(this.#core, rows)
  }

  /** Continues prompts as one batch; each row ends at an end token or after `tokens` tokens. */
  async complete(prompts: readonly Prompt[], options: GenerationOptions = {}): Promise<Completion[]> {
    const settings = this.#checked(options)
    return complete(
      this.#core,
      prompts.map((prompt) => this.encode(prompt, settings.tokens)),
      settings,
    )
  }

  /**
   * Continues prompts as one batch, steered, and scores every completion with and without steering: what a search for the
   * redline is made of.
   */
  async judge(prompts: readonly Prompt[], options: GenerationOptions = {}): Promise<JudgedCompletion[]> {
    const settings = this.#checked(options)
    return completeAndJudge(
      this.#core,
      prompts.map((prompt) => this.encode(prompt, settings.tokens)),
      settings,
    )
  }

  /** Continues one prompt token by token: every new id with its log-prob, where asked for. */
  async *generateTokens(
    prompt: Prompt,
    options: GenerationOptions = {},
  ): AsyncGenerator<{ id: number; logprob: number | undefined }, void, undefined> {
    for await (const step of this.generateSteps([prompt], options)) {
      for (const [i, id] of (step.ids[0] ?? []).entries()) yield { id, logprob: step.logprobs[0]?.[i] }
    }
  }

  /**
   * Continues prompts as one batch and yields, after every step, the new id of each row that has not ended, with its log-prob
   * where asked for. All rows run at once: {@link rowsAtOnce} says how many may.
   */
  async *generateSteps(prompts: readonly Prompt[], options: GenerationOptions = {}): AsyncGenerator<Step, void, undefined> {
    const settings = this.#checked(options)
    const ids = prompts.map((prompt) => this.encode(prompt, settings.tokens))
    yield* decode(this.#core, ids, [...ids.keys()], settings, 1)
  }

  /**
   * Continues one prompt and yields its text piece by piece, never a broken character.
   * @throws InputError without a tokenizer.
   * @example
   * for await (const piece of model.generate("I am", { tokens: 20 })) process.stdout.write(piece)
   */
  async *generate(prompt: Prompt, options: GenerationOptions = {}): AsyncGenerator<string, void, undefined> {
    const stream = this.#needTokenizer("generate").stream()
    for await (const { id } of this.generateTokens(prompt, options)) {
      const piece = stream.push(id)
      if (piece !== "") yield piece
    }
    const rest = stream.end()
    if (rest !== "") yield rest
  }

  /** Rows of at most `capacity` tokens that run together on this device; longer lists run in pieces. */
  rowsAtOnce(capacity: number): number {
    return Math.max(1, this.#core.limits.rows(capacity))
  }

  /** The bytes that `rows` rows of at most `capacity` tokens take. */
  planMemory(rows: number, capacity: number): MemoryPlan {
    return planMemory(this.#checkpoint, rows, capacity, this.device.maxBinding, this.precision.matmul)
  }

  dispose(): void {
    this.#core.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #encodeText(text: string, where: string): number[] {
    if (text === "")
      throw new InputError({ where, expected: "some text", found: "an empty prompt", todo: "give it at least one character" })
    return this.#needTokenizer(where).encode(text)
  }

  #needTokenizer(where: string): Tokenizer {
    if (this.tokenizer) return this.tokenizer
    const todo = "give ids instead of text, or add the model's tokenizer.json"
    throw new InputError({ where, expected: "a tokenizer", found: `no tokenizer.json in ${this.name}`, todo })
  }

  /** The options with this model's end ids. @throws InputError for a number out of its range. */
  #checked(options: GenerationOptions): GenerationOptions & { tokens: number } {
    const tokens = options.tokens ?? 32
    const inRange = (name: string, value: number | undefined, ok: (x: number) => boolean, expected: string): void => {
      if (value !== undefined && !ok(value)) throw new InputError({ where: name, expected, found: `${value}` })
    }
    inRange("tokens", tokens, (x) => Number.isInteger(x) && x >= 1, "a whole number of at least 1")
    inRange("repetition penalty", options.repetitionPenalty, (x) => x > 0 && x < Infinity, "a number above 0 (1 is none)")
    inRange("temperature", options.temperature, (x) => x >= 0 && x < Infinity, "a number of at least 0 (0 is greedy)")
    inRange("top-p", options.topP, (x) => x > 0 && x <= 1, "a number above 0 and up to 1")
    inRange("seed", options.seed, (x) => Number.isInteger(x) && x >= 0 && x < 2 ** 32, "a whole number from 0 to 4294967295")
    return { endIds: this.endIds, ...options, tokens }
  }
}

const quote = (text: string): string => `«${text.length > 40 ? `${text.slice(0, 39)}…` : text}»`
