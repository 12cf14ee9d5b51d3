import { InputError } from "../engine/errors.ts"

/** A sentence with places left open: fixed text, and where one of several wordings may stand. */
export type Template = readonly Part[]
type Part = string | Choice

/** The wordings by their first character, so that few of the hundreds of fillers are tried. */
type Choice = ReadonlyMap<string, readonly Template[]>

/**
 * Templates read `a {slot} [one|other {slot}]`: any filler of the slot, one of the wordings in brackets.
 */
export class TemplateReader {
  readonly #fillers: ReadonlyMap<string, Choice>

  /** @param lexicon the fillers of each slot */
  constructor(lexicon: Readonly<Record<string, readonly string[]>>) {
    this.#fillers = new Map(
      Object.entries(lexicon).map(([slot, words]) => [
        slot,
        byFirstCharacter(
          words.map((word) => [word]),
          (word) => word,
        ),
      ]),
    )
  }

  /** @throws InputError for a slot without fillers, or where there is nothing to write */
  read(source: string, where: string): Template {
    if (source === "") throw new InputError({ where, expected: "a template or wording that is not empty", found: "an empty one" })
    return source
      .split(/(\{\w+\}|\[[^[\]]*\])/)
      .map((piece, index) => (index % 2 === 0 ? piece : this.#open(piece, where)))
      .filter((part) => part !== "")
  }

  #open(piece: string, where: string): Choice {
    const inner = piece.slice(1, -1)
    return piece.startsWith("{") ? this.#slot(inner, where) : this.#choice(inner, where)
  }

  #slot(slot: string, where: string): Choice {
    const fillers = this.#fillers.get(slot)
    if (fillers === undefined) throw new InputError({ where, expected: "slots of the lexicon", found: `{${slot}}` })
    return fillers
  }

  #choice(wordings: string, where: string): Choice {
    const templates = wordings.split("|").map((wording) => this.read(wording, where))
    return byFirstCharacter(templates, (template) => template)
  }
}

/** The items under each character that their templates can begin with, in their order. */
export function byFirstCharacter<T>(items: readonly T[], templateOf: (item: T) => Template): Map<string, T[]> {
  const index = new Map<string, T[]>()
  for (const item of items) {
    const first = templateOf(item)[0]
    for (const character of typeof first === "string" ? first.charAt(0) : (first?.keys() ?? [])) {
      const same = index.get(character)
      if (same === undefined) index.set(character, [item])
      else same.push(item)
    }
  }
  return index
}

/** Can `template` write exactly `text`? */
export function writes(template: Template, text: string): boolean {
  return reach(template, text, 0).ends.has(text.length)
}

/** Can `template` write `text` or something that begins with it? */
export function canBegin(template: Template, text: string): boolean {
  const { ends, ranOut } = reach(template, text, 0)
  return ranOut || ends.has(text.length)
}

interface Reach {
  /** Everywhere in the text that the template can end. */
  readonly ends: ReadonlySet<number>
  /** The text ended while the template still fitted. */
  readonly ranOut: boolean
}

function reach(template: Template, text: string, start: number): Reach {
  let starts = new Set([start])
  let ranOut = false
  for (const part of template) {
    const ends = new Set<number>()
    for (const at of starts) {
      if (at === text.length) ranOut = true
      else if (typeof part === "string") {
        if (text.startsWith(part, at)) ends.add(at + part.length)
        else ranOut ||= part.startsWith(text.slice(at))
      } else {
        for (const wording of part.get(text.charAt(at)) ?? []) {
          const inner = reach(wording, text, at)
          for (const end of inner.ends) ends.add(end)
          ranOut ||= inner.ranOut
        }
      }
    }
    starts = ends
    if (starts.size === 0) break
  }
  return { ends: starts, ranOut }
}
