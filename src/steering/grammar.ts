import * as z from "zod"
import { InputError } from "../engine/errors.ts"
import { checkShape, parseJson, show } from "../engine/json.ts"
import { byFirstCharacter, canBegin, candidates, TemplateReader, writes, type Choice, type Template } from "./templates.ts"

/** How much of a completion the grammar could have written. */
export interface Judgement {
  /** `good / total`; 0 when there is nothing to count. */
  readonly coherence: number
  /** Sentences that the grammar can write. */
  readonly good: number
  /** Complete sentences, and an unfinished last one that is no beginning of a possible sentence. */
  readonly total: number
  /** The template group of each good sentence: `gen`, `t:pirate` (a sentence about the topic pirate), `code`. */
  readonly groups: readonly string[]
  /** The counted sentences in their order, a first one with the part of it that stands in the prompt. */
  readonly sentences: readonly JudgedSentence[]
}

export interface JudgedSentence {
  readonly text: string
  readonly ok: boolean
  /** The template group, of a sentence that is ok. */
  readonly group?: string
}

const filled = z.string("a text that is not empty").min(1, "a text that is not empty")
const texts = z.array(filled, "a list of texts")
const lists = z.record(z.string(), texts.min(1, "at least one text"), "an object of lists of texts")
const shape = z.object(
  {
    lexicon: lists,
    groups: lists,
    code_lines: texts,
    openers: texts,
    keep_capital: texts,
    topics: z.record(z.string(), z.object({ words: texts }, "an object"), "an object"),
  },
  "an object",
)
type GrammarFile = z.output<typeof shape>

const CODE_GROUP = "code"

/** The slot of the names that may stand before a sentence: «Anna: Really?». */
const NAME_SLOT = "N"

// Keeps its capital after an opener («Well, The Milky Way glows.»), which keep_capital cannot say of a second word.
const KEPT_START = "The Milky"

/**
 * The recogniser of the language that a model was trained on: it tells of a text which of its sentences its generator
 * could have written, and so where a steered model's babble begins. It agrees with scripts/tiny-talk/coherence.py.
 */
export class Grammar {
  readonly #sentences: Choice
  readonly #codeLines: Choice
  readonly #groups: ReadonlyMap<Template, string>
  readonly #speakers: readonly string[]
  readonly #openers: readonly string[]
  readonly #keepCapital: ReadonlySet<string>
  /** What tells each topic: the last words of its phrases, in small letters. */
  readonly #keyWords: ReadonlyMap<string, ReadonlySet<string>>

  private constructor(file: GrammarFile, where: string) {
    const reader = new TemplateReader(file.lexicon)
    const readAll = (sources: readonly string[], field: string): Template[] =>
      sources.map((source, index) => reader.read(source, `${where}, ${field}.${index}`))
    const sentences = Object.entries(file.groups).map(([group, sources]) => [group, readAll(sources, `groups.${group}`)] as const)
    this.#sentences = byFirstCharacter(sentences.flatMap(([, templates]) => templates))
    this.#codeLines = byFirstCharacter(readAll(file.code_lines, "code_lines"))
    this.#groups = new Map(sentences.flatMap(([group, templates]) => templates.map((template) => [template, group] as const)))
    this.#speakers = (file.lexicon[NAME_SLOT] ?? []).map((name) => `${name}: `)
    this.#openers = file.openers.map((opener) => `${opener}, `)
    this.#keepCapital = new Set(file.keep_capital)
    this.#keyWords = new Map(Object.entries(file.topics).map(([topic, { words }]) => [topic, new Set(words.map(lastWord))]))
  }

  /**
   * @param json a grammar.json as scripts/tiny-talk/coherence.py writes it
   * @param where names the file in errors
   * @throws InputError for what is no JSON or no grammar, and a template with a slot that the lexicon lacks
   */
  static parse(json: string, where: string): Grammar {
    return new Grammar(checkShape(shape, parseJson(json, where), where), where)
  }

  /** The keys of the topics, in the file's order. */
  get topics(): readonly string[] {
    return [...this.#keyWords.keys()]
  }

  /**
   * Judges the sentences and code lines of `completion` that end in it.
   *
   * @param prompt the text before it, whose unfinished last sentence belongs to the completion's first
   */
  judge(completion: string, prompt = ""): Judgement {
    const before = withoutChatTags(prompt)
    const sentences: JudgedSentence[] = []
    for (const { text, end, complete } of units(before + withoutChatTags(completion))) {
      if (end <= before.length) continue
      if (complete) sentences.push(judged(text, this.#groupOf(text)))
      else if (!this.#canBegin(text)) sentences.push(judged(text, undefined))
    }
    const groups = sentences.flatMap(({ group }) => group ?? [])
    const [good, total] = [groups.length, sentences.length]
    return { coherence: total === 0 ? 0 : good / total, good, total, groups, sentences }
  }

  /**
   * Does the completion have a sentence about the topic, or two of its key words?
   *
   * @param prompt as for `judge`
   * @throws InputError for a topic that the grammar does not have
   */
  onTopic(completion: string, topic: string, prompt = ""): boolean {
    const keyWords = this.#keyWords.get(topic)
    if (keyWords === undefined)
      throw new InputError({ where: "topic", expected: `one of ${this.topics.join(", ")}`, found: show(topic) })
    const small = completion.toLowerCase()
    const found = [...keyWords].filter((word) => small.includes(word)).length
    return found >= 2 || this.judge(completion, prompt).groups.includes(`t:${topic}`)
  }

  /** The group of the first template that writes `sentence`. */
  #groupOf(sentence: string): string | undefined {
    const { plain, opened } = this.#readings(sentence)
    const readings = [...plain, ...opened.filter((rest) => this.#isCasedAfterOpener(rest)).map(capitalised)]
    for (const reading of readings) {
      const template = candidates(this.#sentences, reading).find((candidate) => writes(candidate, reading))
      if (template !== undefined) return this.#groups.get(template)
    }
    return candidates(this.#codeLines, sentence).some((line) => writes(line, sentence)) ? CODE_GROUP : undefined
  }

  /** Could `text` be the beginning of a sentence or code line? */
  #canBegin(text: string): boolean {
    const { plain, opened } = this.#readings(text)
    return [...plain, ...opened.map(capitalised)].some(
      (reading) =>
        [...this.#openers, ...this.#speakers].some((head) => head.startsWith(reading)) ||
        [this.#sentences, this.#codeLines].some((choice) =>
          candidates(choice, reading).some((template) => canBegin(template, reading)),
        ),
    )
  }

  /** `text` with and without the name of who speaks (plain), and what follows an opener in each (opened). */
  #readings(text: string): { readonly plain: readonly string[]; readonly opened: readonly string[] } {
    const plain = [text, ...after(this.#speakers, text)]
    return { plain, opened: plain.flatMap((reading) => after(this.#openers, reading)) }
  }

  /** Does a sentence that lost its opener begin with a small letter, or with a capital that stays one? */
  #isCasedAfterOpener(rest: string): boolean {
    const sentence = capitalised(rest)
    const word = /^[A-Za-z]+/.exec(sentence)?.[0]
    const keeps = word === undefined || this.#keepCapital.has(word) || sentence.startsWith(KEPT_START)
    return rest === (keeps ? sentence : sentence.charAt(0).toLowerCase() + sentence.slice(1))
  }
}

/** What follows the first of `heads` that begins `text`; nothing when none does. */
function after(heads: readonly string[], text: string): string[] {
  const first = heads.find((head) => text.startsWith(head))
  return first === undefined ? [] : [text.slice(first.length)]
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function lastWord(phrase: string): string {
  return phrase.slice(phrase.lastIndexOf(" ") + 1).toLowerCase()
}

function judged(text: string, group: string | undefined): JudgedSentence {
  return group === undefined ? { text, ok: false } : { text, ok: true, group }
}

interface Unit {
  readonly text: string
  /** Where it ends in the whole text. */
  readonly end: number
  readonly complete: boolean
}

// Python's white space, which differs from that of JavaScript in a few control characters.
const SPACE = String.raw`[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]`
const BOUNDARY = new RegExp(String.raw`(?<=[.!?]|[.!?]")${SPACE}+(?=[A-Z"])`, "g")
const SPACE_AT_END = new RegExp(`${SPACE}+$`)
const CODE_LINE = /^(?: {4}|def |#|print\()/
const SENTENCE_END = /[.!?]"?$/
const CHAT_TAG = /(?:<\|start_header_id\|>(?:user|assistant|system))?<\|[a-z_0-9]+\|>/g

/** The sentences and code lines of a text. A line ends a sentence; the last one may be unfinished. */
function* units(text: string): Generator<Unit> {
  let from = 0
  for (const line of text.split("\n")) {
    let begin = 0
    for (const { 0: gap, index } of CODE_LINE.test(line) ? [] : line.matchAll(BOUNDARY)) {
      yield { text: line.slice(begin, index), end: from + index, complete: true }
      begin = index + gap.length
    }
    const end = from + line.length
    const rest = line.slice(begin).replace(SPACE_AT_END, "")
    if (rest !== "") yield { text: rest, end, complete: end < text.length || SENTENCE_END.test(rest) }
    from = end + 1
  }
}

function withoutChatTags(text: string): string {
  return text.replace(CHAT_TAG, "\n")
}
