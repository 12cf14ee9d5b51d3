import * as z from "zod"
import { InputError } from "../engine/errors.ts"
import { checkShape } from "../engine/json.ts"
import { metricNames } from "../steering/metrics.ts"
import type { RequestKind, RequestLimits, Requests } from "./protocol.ts"

/** What a request may hold, unless told. */
export const LIMITS: RequestLimits = { characters: 2000, prompts: 8, messages: 40, tokens: 256, coefficients: 48 }

/** Layers of a request at most: more than any Llama has. */
const LAYERS = 200

const f32 = z.number("a number").refine((x) => Number.isFinite(Math.fround(x)), "a number that fits an f32")
const positive = z.number("a number above 0").gt(0, "a number above 0")

const whole = (least: number, most: number): z.ZodType<number> => {
  const expected = `a whole number from ${least} to ${most}`
  return z.int(expected).min(least, expected).max(most, expected)
}

/** A list of 1 to `most`. */
function some<T>(item: z.ZodType<T>, most: number): z.ZodType<T[]> {
  const expected = `a list of 1 to ${most}`
  return z.array(item, expected).min(1, expected).max(most, expected)
}

/** The shape of every kind's request; its messages say what is expected. */
function shapes({ characters, prompts, messages, tokens, coefficients }: RequestLimits): Record<RequestKind, z.ZodType> {
  const expected = `a text of 1 to ${characters} characters`
  const text = z.string(expected).min(1, expected).max(characters, expected)
  const object = "an object"
  const choice = {
    model: z.string("a model's name"),
    vector: z.union(
      [z.object({ name: z.string() }), z.object({ positive: text, negative: text })],
      `a name of the catalogue, or positive and negative, texts of 1 to ${characters} characters`,
    ),
    layers: some(whole(0, LAYERS - 1), LAYERS).optional(),
  }
  const generation = {
    tokens: whole(1, tokens).optional(),
    repetitionPenalty: positive.optional(),
    temperature: z.number("a number of at least 0").min(0, "a number of at least 0").optional(),
    seed: whole(0, 2 ** 32 - 1).optional(),
  }
  // What was said is a completion: it may be longer than what a visitor types, or empty.
  const said = `a text of at most ${4 * characters} characters`
  const message = z.object(
    {
      role: z.enum(["system", "user", "assistant"], "system, user or assistant"),
      content: z.string(said).max(4 * characters, said),
    },
    "a message { role, content }",
  )
  const conversation = some(message, messages)
  const input = z.union(
    [z.object({ prompt: text }), z.object({ unsteered: conversation, steered: conversation })],
    `a prompt of 1 to ${characters} characters, or two conversations of 1 to ${messages} messages`,
  )
  return {
    catalogue: z.object({}, object),
    find: z.object(
      {
        ...choice,
        prompts: some(text, prompts),
        chat: z.boolean("true or false"),
        coefficients: some(f32, coefficients).optional(),
        ...generation,
        threshold: positive.optional(),
        metric: z.enum(metricNames as [string, ...string[]], `one of ${metricNames.join(", ")}`).optional(),
      },
      object,
    ),
    generate: z.object(
      {
        ...choice,
        coefficient: f32,
        where: z.enum(["all", "prompt", "generated", "last"], "all, prompt, generated or last").optional(),
        input,
        ...generation,
      },
      object,
    ),
    vector: z.object({ ...choice, format: z.enum(["safetensors", "gguf"], "safetensors or gguf") }, object),
  }
}

/** Checks requests against the limits. */
export class RequestChecker {
  readonly #shapes: Record<RequestKind, z.ZodType>

  constructor(limits: RequestLimits) {
    this.#shapes = shapes(limits)
  }

  /**
   * A request of a kind, with the fields that it has alone.
   * @throws InputError naming the first field that is not as it should be.
   */
  check<K extends RequestKind>(kind: K, request: unknown): Requests[K]["request"] {
    try {
      return checkShape(this.#shapes[kind], request, kind) as Requests[K]["request"]
    } catch (error) {
      // What is nested too deeply to be checked or shown.
      if (error instanceof RangeError)
        throw new InputError({ where: kind, expected: "a request", found: "a value nested too deeply" }, { cause: error })
      throw error
    }
  }
}
