import { InputError } from "../engine/errors.ts"

/** A sentence with places left open: fixed text, and where one of several wordings may stand. */
export type Template = readonly Part[]
type Part = string | Choice

/** Wordings by the characters that they can begin with, so that few of many are tried. */
export type Choice = ReadonlyMap<string, readonly Template[]>

/** Reads templates written as `a {slot} [one|other {slot}]`: any filler of the slot, one of the wordings in brackets. */
export class TemplateReader {
  readonly #fillers: ReadonlyMap<string, Choice>

  /** @param lexicon the fillers of each slot */
  constructor(lexicon: Readonly<Record<string, readonly string[]>>) {
    const fillersOf = (words: readonly string[]): Choice => byFirstCharacter(words.map((word) => [word]))
    this.#fillers = new Map(Object.entries(lexicon).map(([slot, words]) => [slot, fillersOf(words)]))
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
    return byFirstCharacter(wordings.split("|").map((wording) => this.read(wording, where)))
  }
}

/** The templates under each character that they can begin with, in their order. */
export function byFirstCharacter(templates: readonly Template[]): Choice {
  const index = new Map<string, Template[]>()
  for (const template of templates) {
    const first = template[0]
    for (const character of typeof first === "string" ? first.charAt(0) : (first?.keys() ?? [])) {
      const same = index.get(character)
      if (same === undefined) index.set(character, [template])
      else same.push(template)
    }
  }
  return index
}

/** The templates that can begin with the first character of what stands in `text` at `at`. */
export function candidates(choice: Choice, text: string, at = 0): readonly Template[] {
  return choice.get(text.charAt(at)) ?? []
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
        for (const wording of candidates(part, text, at)) {
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
