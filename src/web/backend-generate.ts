import type { Model } from "../engine/model.ts"
import type { TokenStream } from "../engine/tokenizer.ts"
import type { SteeringVector } from "../steering/vector.ts"
import { finite } from "./backend-find.ts"
import type { GenerateEvent, GenerateRequest, Side } from "./protocol.ts"

/** Tokens between two looks of the unsteered model at the steered text. */
const SCORE_EVERY = 16
const TOKENS = 64
const SIDES: readonly Side[] = ["unsteered", "steered"]

/** Continues the input unsteered and steered, as two rows of one batch, and emits every token as soon as it is made. */
export async function generate(
  model: Model,
  vector: SteeringVector,
  request: GenerateRequest,
  emit: (event: GenerateEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { tokens = TOKENS, repetitionPenalty, temperature, seed, where, coefficient } = request
  const prompts = promptsOf(model, request, tokens)
  const writers = SIDES.map((side, row) => new SideWriter(model, side, prompts[row] as readonly number[], tokens, emit, signal))
  const steps = model.generateSteps(prompts, {
    tokens,
    logprobs: true,
    signal,
    steering: [{ vector, coefficient: [null, coefficient], ...(where && { positions: where }) }],
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
    ...(temperature !== undefined && { temperature }),
    ...(seed !== undefined && { seed }),
  })
  for await (const { ids, logprobs } of steps) {
    // Both tokens are on their way before the unsteered model looks at the one.
    for (const [row, writer] of writers.entries()) writer.write(ids[row] ?? [], logprobs[row] ?? [])
    for (const writer of writers) await writer.settle()
  }
  emit({ type: "done" })
}

/** The ids that each side continues. */
function promptsOf(model: Model, { input }: GenerateRequest, tokens: number): number[][] {
  if (!("prompt" in input)) return SIDES.map((side) => model.encodeChat(input[side], tokens))
  const ids = model.encode(input.prompt, tokens)
  return [ids, ids]
}

/** One side's text as it grows. */
class SideWriter {
  readonly #model: Model
  readonly #side: Side
  readonly #prompt: readonly number[]
  readonly #tokens: number
  readonly #emit: (event: GenerateEvent) => void
  readonly #signal: AbortSignal
  readonly #stream: TokenStream | undefined
  readonly #ids: number[] = []
  /** Tokens whose log-probs are out. */
  #scored = 0
  #ended = false

  constructor(
    model: Model,
    side: Side,
    prompt: readonly number[],
    tokens: number,
    emit: (event: GenerateEvent) => void,
    signal: AbortSignal,
  ) {
    this.#model = model
    this.#side = side
    this.#prompt = prompt
    this.#tokens = tokens
    this.#emit = emit
    this.#signal = signal
    this.#stream = model.tokenizer?.stream()
  }

  /** @param logprobs Under the model that wrote the ids. */
  write(ids: readonly number[], logprobs: readonly number[]): void {
    for (const id of ids) {
      this.#ids.push(id)
      const piece = this.#stream?.push(id) ?? ""
      this.#emit({ type: "token", side: this.#side, piece: piece + (this.#complete ? (this.#stream?.end() ?? "") : "") })
    }
    if (this.#side === "unsteered" && ids.length > 0) this.#emitLogprobs(logprobs)
  }

  /** Says what the unsteered model thinks of the steered tokens, now and then and at the end; and that the side has ended. */
  async settle(): Promise<void> {
    if (this.#ended) return
    const unscored = this.#ids.length - this.#scored
    if (unscored > 0 && (unscored >= SCORE_EVERY || this.#complete)) {
      const sequence = { ids: [...this.#prompt, ...this.#ids], from: this.#prompt.length + this.#scored }
      const [scores] = await this.#model.score([sequence], { signal: this.#signal })
      this.#emitLogprobs([...(scores?.logprobs ?? [])])
    }
    if (!this.#complete) return
    this.#ended = true
    this.#emit({ type: "end", side: this.#side, stopped: this.#atEnd ? "end" : "length" })
  }

  get #atEnd(): boolean {
    return this.#model.endIds.includes(this.#ids.at(-1) ?? -1)
  }

  get #complete(): boolean {
    return this.#atEnd || this.#ids.length === this.#tokens
  }

  #emitLogprobs(values: readonly number[]): void {
    this.#emit({ type: "logprobs", side: this.#side, from: this.#scored, values: values.map(finite) })
    this.#scored += values.length
  }
}
