import { InputError } from "../engine/errors.ts"
import { show } from "../engine/json.ts"
import { checkPair, type Pair } from "./pairs.ts"
import { suffixes as neutralSuffixes } from "./suffixes.ts"

export interface TemplateOptions {
  /**
   * The text with `{persona}` where the personas go, and `{suffix}` where the suffixes go; without the latter they follow
   * after a space. Special tokens, such as those of a chat's turns, may stand in it.
   */
  readonly template: string
  /** The personas of the positive side … */
  readonly positive: readonly string[]
  /** … and as many of the negative one, each set against the positive in the same place. */
  readonly negative: readonly string[]
  readonly suffixes: readonly string[]
  /**
   * Whether every beginning of a suffix, word by word, makes a pair of its own, so that one sentence gives as many pairs
   * as it has words; not unless told. (repeng's notebooks cut after every token; words are the same for all models.)
   */
  readonly truncate?: boolean
}

/**
 * Every suffix with every couple of personas in the template, as repeng's notebooks build their data sets; suffix by
 * suffix, equal beginnings once.
 *
 * @throws InputError for a template without `{persona}`, lists that are empty or of unequal length, empty or equal personas
 * @example
 * pairsFromTemplate({
 *   template: "Pretend to be a {persona} person. I",
 *   positive: ["cheerful"],
 *   negative: ["gloomy"],
 *   suffixes: ["woke up early and", "opened the door and saw"],
 * })
 */
export function pairsFromTemplate({ template, positive, negative, suffixes, truncate = false }: TemplateOptions): Pair[] {
  if (!template.includes("{persona}")) {
    throw new InputError({
      where: "template",
      expected: "the placeholder {persona}",
      found: show(template),
      todo: "put it where the personas go",
    })
  }
  if (positive.length === 0 || positive.length !== negative.length) {
    const expected = "as many positive as negative ones, at least one"
    throw new InputError({ where: "personas", expected, found: `${positive.length} positive, ${negative.length} negative` })
  }
  if (suffixes.length === 0) throw new InputError({ where: "suffixes", expected: "at least one", found: "none" })
  const personas = positive.map((persona, i) => ({ positive: persona, negative: negative[i] as string }))
  for (const [i, pair] of personas.entries()) checkPair(pair, `personas ${i + 1}`)

  const whole = template.includes("{suffix}") ? template : `${template} {suffix}`
  const fill = (persona: string, suffix: string): string =>
    whole.replace(/\{(persona|suffix)\}/g, (_, name) => (name === "persona" ? persona : suffix))
  const endings = truncate ? [...new Set(suffixes.flatMap(beginnings))] : suffixes
  return endings.flatMap((suffix) =>
    personas.map((pair) => ({ positive: fill(pair.positive, suffix), negative: fill(pair.negative, suffix) })),
  )
}

export interface PromptPairsOptions {
  /** What both sides go on with; {@link neutralSuffixes} unless told. */
  readonly suffixes?: readonly string[]
  /** As in {@link pairsFromTemplate}; the prompt, then the suffix, unless told. */
  readonly template?: string
}

/**
 * Pairs from a single positive and a single negative prompt: each goes on with every suffix, so that the vector is of what
 * differs between the prompts, not of how they end. A prompt that ends in a letter or a digit gets a full stop, unless
 * there is a template.
 *
 * @throws InputError for empty or equal prompts, no suffixes, or a template without `{persona}`
 * @example
 * pairsFromPrompts("I am happy", "I am sad") // «I am happy. I live with my» against «I am sad. I live with my», …
 */
export function pairsFromPrompts(positive: string, negative: string, options: PromptPairsOptions = {}): Pair[] {
  checkPair({ positive, negative }, "prompts")
  const { suffixes = neutralSuffixes, template } = options
  const ended = (prompt: string): string => (template === undefined ? prompt.trimEnd().replace(/[\p{L}\p{N}]$/u, "$&.") : prompt)
  return pairsFromTemplate({
    template: template ?? "{persona}",
    positive: [ended(positive)],
    negative: [ended(negative)],
    suffixes,
  })
}

/** A text up to the end of each of its words. */
function beginnings(text: string): string[] {
  return [...text.matchAll(/\S+/g)].map(({ 0: word, index }) => text.slice(0, index + word.length))
}
