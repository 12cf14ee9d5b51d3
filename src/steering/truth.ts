import * as z from "zod"
import { InputError } from "../engine/errors.ts"
import { checkShape, parseJson, show } from "../engine/json.ts"
import type { Grammar } from "./grammar.ts"
import { mean } from "./numbers.ts"
import { COHERENT_SHARE } from "./study.ts"

/** The texts at a coefficient, in the prompts' order. */
export interface TruthPoint {
  readonly coefficient: number
  readonly completions: readonly { readonly text: string | undefined }[]
}

/** What somebody or something other than the model says of the texts. Null where nothing is known. */
export interface Truth {
  /** How much of what a topic's vector makes the model write at a coefficient makes sense, from 0 to 1. */
  readonly coherence: (topic: string, point: TruthPoint, prompts: readonly string[]) => number | null
  /** The share of the texts that are about the topic. */
  readonly onTopic?: (topic: string, point: TruthPoint, prompts: readonly string[]) => number | null
}

/** By a grammar: the mean share of the completions' sentences that it could have written, and whether they are about its topic. */
export function grammarTruth(grammar: Grammar): Truth {
  const each = (
    { completions }: TruthPoint,
    prompts: readonly string[],
    judge: (text: string, prompt: string) => number,
  ): number => mean(completions.map(({ text }, i) => judge(text ?? "", prompts[i] ?? "")))
  return {
    coherence: (_, point, prompts) => each(point, prompts, (text, prompt) => grammar.judge(text, prompt).coherence),
    onTopic: (topic, point, prompts) =>
      grammar.topics.includes(topic)
        ? each(point, prompts, (text, prompt) => (grammar.onTopic(text, topic, prompt) ? 1 : 0))
        : null,
  }
}

const LABEL = "a share from 0 to 1, true, false, a list of them for the prompts, or null where there is none yet"
const one = z.union([z.number().min(0, LABEL).max(1, LABEL), z.boolean().transform(Number)], LABEL)
const label = z.union([one, z.array(one, LABEL).min(1, LABEL), z.null()], LABEL)
const labelsShape = z.record(z.string(), z.record(z.string(), label, "an object of labels by coefficient"), "an object by topic")

/** What was said of a coefficient: a share, or one for each prompt's text; null where nothing was. */
export type Label = number | readonly number[] | null

/**
 * Labels by hand: a share for every coefficient of every topic. As JSON `{ "bridge": { "0": 1, "0.1": [1, 1, 0], "0.9": 0 } }`:
 * a share, true or false, or a list of them in the prompts' order, of which the mean counts.
 */
export class Labels {
  readonly #where: string
  readonly #topics: ReadonlyMap<string, ReadonlyMap<number, Label>>

  private constructor(where: string, topics: ReadonlyMap<string, ReadonlyMap<number, Label>>) {
    this.#where = where
    this.#topics = topics
  }

  /**
   * @param where names the text in errors
   * @throws InputError for what is no JSON or not of that form
   */
  static parse(json: string, where: string): Labels {
    const topics = Object.entries(checkShape(labelsShape, parseJson(json, where), where))
    for (const [topic, labels] of topics) {
      const odd = Object.keys(labels).find((key) => key.trim() === "" || !Number.isFinite(Number(key)))
      if (odd !== undefined) throw new InputError({ where: `${where}, ${topic}`, expected: "coefficients", found: show(odd) })
    }
    return new Labels(
      where,
      new Map(
        topics.map(([topic, labels]) => [topic, new Map(Object.entries(labels).map(([key, value]) => [Number(key), value]))]),
      ),
    )
  }

  /** Labels to be filled in: null for every coefficient. */
  static template(topics: ReadonlyMap<string, readonly number[]>): string {
    const empty = (grid: readonly number[]): object => Object.fromEntries(grid.map((value) => [`${value}`, null]))
    const rows = [...topics].map(([topic, grid]) => `  ${JSON.stringify(topic)}: ${JSON.stringify(empty(grid))}`)
    return `{\n${rows.join(",\n")}\n}\n`
  }

  /**
   * Makes sure that the labels fit a study: a label for no other topic and no other coefficient, and for each topic's
   * coefficients from 0 on as far as the first that is not coherent.
   * @throws InputError naming the topic and the coefficient
   */
  check(topics: ReadonlyMap<string, readonly number[]>): void {
    for (const [topic, labels] of this.#topics) {
      const grid = topics.get(topic)
      if (!grid) throw this.#error(`"${topic}"`, `a topic of the study: ${[...topics.keys()].join(", ")}`, "a label for another")
      const unknown = [...labels.keys()].find((value) => !grid.includes(value))
      if (unknown === undefined) continue
      const expected = `a coefficient that was run: ${grid.join(", ")}`
      throw this.#error(`"${topic}"`, expected, `a label for ${unknown}`)
    }
    for (const [topic, grid] of topics) this.#checkWhole(topic, grid)
  }

  /** The topics that have labels, in the text's order. */
  get topics(): readonly string[] {
    return [...this.#topics.keys()]
  }

  label(topic: string, coefficient: number): Label {
    return this.#topics.get(topic)?.get(coefficient) ?? null
  }

  truth(): Truth {
    return { coherence: (topic, { coefficient }) => this.#share(topic, coefficient) }
  }

  #share(topic: string, coefficient: number): number | null {
    const known = this.label(topic, coefficient)
    return known === null || typeof known === "number" ? known : mean(known)
  }

  #checkWhole(topic: string, grid: readonly number[]): void {
    for (const value of grid) {
      if (value < 0) continue
      const share = this.#share(topic, value)
      if (share === null) throw this.#error(`"${topic}"`, `a label for ${value}`, "none", "read the texts there and give one")
      if (share < COHERENT_SHARE) return
    }
  }

  #error(field: string, expected: string, found: string, todo?: string): InputError {
    return new InputError({ where: `${this.#where}, ${field}`, expected, found, ...(todo !== undefined && { todo }) })
  }
}
