import * as z from "zod"
import { InputError } from "../engine/errors.ts"
import { checkShape, parseJson } from "../engine/json.ts"
import { number, type Run, text } from "./record.ts"
import { type Aspect, aspects, BEST_RATING, fillQuestion, type Graded, type Rubric } from "./rubric.ts"

/** Who rates, by what, for what: ratings of one such compare with one another. */
export interface Grading {
  /** anthropic, openai or local. */
  readonly grader: string
  /** The rating model's name. */
  readonly model: string
  /** Where it is: the address of the endpoint; of a local model the sha256 of its files. */
  readonly source: string
  /** What the vector steers to, in the words that the grader is told. */
  readonly concept: string
  /** sha256 of the rubric. */
  readonly rubric: string
}

/** A grader's answer to a question. */
export interface Answer {
  /** From 0 to {@link BEST_RATING}. */
  readonly rating: number
  /** What it wrote. */
  readonly reply?: string | undefined
  /** Of a local model: the probabilities of the answers 0, 1 and 2. */
  readonly probabilities?: readonly number[] | undefined
}

/** A line of grades.jsonl: the rating of one text on one aspect. */
export interface Grade extends Grading, Answer {
  /** Of the question and of who was asked: what has one key is asked once. */
  readonly key: string
  readonly coefficient: number
  /** The prompt's index in the run. */
  readonly prompt: number
  readonly aspect: Aspect
}

/** A question about a text of a run. */
export interface Question extends Pick<Grade, "key" | "coefficient" | "prompt" | "aspect"> {
  /** What the grader is told. */
  readonly ask: string
}

/** Rates questions; all that have an answer are answered once, in any order. */
export interface Grader extends Pick<Grading, "grader" | "model" | "source"> {
  /**
   * @param onAnswer is called with the question's index as the answers come. A question whose answers hold no rating is left out.
   * @throws when it cannot go on; what was answered until then stands. Aborted, it throws the signal's reason.
   */
  rate(
    questions: readonly string[],
    onAnswer: (index: number, answer: Answer) => void,
    signal: AbortSignal | undefined,
  ): Promise<void>
}

/** The ratings that a run has, and where new ones are kept as they come. */
export interface GradeStore {
  readonly known: readonly Grade[]
  append(grades: readonly Grade[]): void
}

/** What answering questions would take. */
export interface GradingEstimate {
  /** Three for every text. */
  readonly questions: number
  /** Texts repeat, at the lowest coefficients above all: a question is asked once. */
  readonly distinct: number
  /** Of the distinct ones, those that the run has an answer to. */
  readonly known: number
  /** One for each of the rest. */
  readonly calls: number
  /** About: four characters a token. */
  readonly inputTokens: number
  /** About: {@link REPLY_TOKENS} an answer; none by a local model. */
  readonly outputTokens: number
}

/** A sentence or two, and the rating. */
const REPLY_TOKENS = 80
const CHARACTERS_PER_TOKEN = 4

/**
 * The questions about a run's texts: every prompt's completion at every coefficient, on every aspect.
 * @param keyOf gives the key of a question's words, by a hash of them and of who is asked
 * @param coefficients those to grade; all of the curve unless told
 * @throws InputError for a run without a curve or without texts, and for a coefficient that it has not
 */
export function questionsOf(
  run: Run,
  rubric: Rubric,
  concept: string,
  keyOf: (ask: string) => string,
  coefficients?: readonly number[],
): Question[] {
  if (run.curve.length === 0) {
    const todo = "search again with the same settings: it goes on where it stopped"
    throw new InputError({ where: run.name, expected: "a run with texts", found: "no coefficient that is done", todo })
  }
  const known = run.curve.map(({ coefficient }) => coefficient)
  const odd = coefficients?.find((coefficient) => !known.includes(coefficient))
  if (odd !== undefined)
    throw new InputError({ where: "coefficients", expected: `some of the run's ${known.join(", ")}`, found: `${odd}` })
  const points = run.curve.filter(({ coefficient }) => coefficients?.includes(coefficient) ?? true)
  return points.flatMap(({ coefficient, completions }) =>
    completions.flatMap((completion, prompt) => {
      const graded = { concept, prompt: textOf(run, run.prompts[prompt]?.text), text: textOf(run, completion.text) }
      return aspects.map((aspect) => question(rubric, graded, { coefficient, prompt, aspect }, keyOf))
    }),
  )
}

/** What the questions take of a grader. @param known what the run has by now */
export function estimateGrading(questions: readonly Question[], known: readonly Grade[], grader: string): GradingEstimate {
  const distinct = new Map(questions.map(({ key, ask }) => [key, ask]))
  const answered = new Set(known.map(({ key }) => key))
  const asked = [...distinct].filter(([key]) => !answered.has(key))
  const characters = asked.reduce((sum, [, ask]) => sum + ask.length, 0)
  return {
    questions: questions.length,
    distinct: distinct.size,
    known: distinct.size - asked.length,
    calls: asked.length,
    inputTokens: Math.ceil(characters / CHARACTERS_PER_TOKEN),
    outputTokens: grader === "local" ? 0 : asked.length * REPLY_TOKENS,
  }
}

/**
 * Answers questions: from the store where it knows, by the grader else, each question once however many texts are the same.
 * @returns the ratings of all questions that have one, in the questions' order
 */
export async function gradeQuestions(
  questions: readonly Question[],
  grading: Grading,
  grader: Grader,
  store: GradeStore,
  options: { readonly signal?: AbortSignal; readonly onProgress?: (done: number, total: number) => void } = {},
): Promise<Grade[]> {
  const answers = new Map<string, Answer>(store.known.map((grade) => [grade.key, answerOf(grade)]))
  const stored = new Set(store.known.map(placeOf))
  const byKey = grouped(questions, ({ key }) => key)
  const grades: Grade[] = []
  const add = (key: string, answer: Answer): void => {
    const all = (byKey.get(key) as Question[]).map(({ coefficient, prompt, aspect }): Grade => {
      return { ...grading, coefficient, prompt, aspect, ...answer, key }
    })
    const fresh = all.filter((grade) => !stored.has(placeOf(grade)))
    if (fresh.length > 0) store.append(fresh)
    grades.push(...all)
  }
  for (const [key, answer] of answers) if (byKey.has(key)) add(key, answer)
  const asked = [...byKey.keys()].filter((key) => !answers.has(key))
  let done = 0
  const onAnswer = (index: number, answer: Answer): void => {
    add(asked[index] as string, answer)
    options.onProgress?.(++done, asked.length)
  }
  const texts = asked.map((key) => ((byKey.get(key) as Question[])[0] as Question).ask)
  if (texts.length > 0) await grader.rate(texts, onAnswer, options.signal)
  const order = new Map(questions.map((one, i) => [placeIn(one), i]))
  return grades.sort((a, b) => (order.get(placeIn(a)) as number) - (order.get(placeIn(b)) as number))
}

/**
 * What a run's vector steers to, where its record tells: the name of its pairs' file, or the positive text of a single pair.
 * Undefined where it does not.
 */
export function conceptOf({ vector }: Pick<Run, "vector">): string | undefined {
  const from = vector["createdFrom"]
  if (typeof from !== "string") return undefined
  const file = /^\d+ pairs? of (.+)\.jsonl$/.exec(from)?.[1]
  const positive = /^«(.+?)» against «/.exec(from)?.[1]
  return file ?? (positive?.endsWith("…") ? undefined : positive)
}

/** The ratings of each grading, that of the last rating last. */
export function gradingsIn(grades: readonly Grade[]): Grade[][] {
  return [...grouped(grades.toReversed(), gradingOf).values()].toReversed().map((group) => group.toReversed())
}

const gradeShape = z.looseObject(
  {
    key: text,
    grader: text,
    model: text,
    source: text,
    concept: text,
    rubric: text,
    coefficient: number,
    prompt: z.int("a whole number"),
    aspect: z.enum(aspects, `one of ${aspects.join(", ")}`),
    rating: z.number("a number").min(0, "0 to 2").max(BEST_RATING, "0 to 2"),
    reply: text.optional(),
    probabilities: z.array(number, "a list of numbers").optional(),
  },
  "an object",
)

/** Lines of grades.jsonl. */
export const writeGrades = (grades: readonly Grade[]): string => grades.map((grade) => `${JSON.stringify(grade)}\n`).join("")

/**
 * Reads grades.jsonl, whole lines alone.
 * @throws InputError for a damaged line, naming it
 */
export function readGrades(source: string, where: string): Grade[] {
  const lines = source.split("\n").slice(0, -1)
  return lines.map((line, i) => {
    const here = `${where}, line ${i + 1}`
    return checkShape(gradeShape, parseJson(line, here), here)
  })
}

function question(
  rubric: Rubric,
  graded: Graded,
  place: Pick<Question, "coefficient" | "prompt" | "aspect">,
  keyOf: (ask: string) => string,
): Question {
  const ask = fillQuestion(rubric, place.aspect, graded)
  return { ...place, ask, key: keyOf(ask) }
}

function textOf(run: Run, found: string | undefined): string {
  if (found !== undefined) return found
  throw new InputError({ where: run.name, expected: "prompts and completions with their texts", found: "ids alone" })
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return groups
}

const answerOf = ({ rating, reply, probabilities }: Grade): Answer => ({
  rating,
  ...(reply !== undefined && { reply }),
  ...(probabilities !== undefined && { probabilities }),
})
const gradingOf = ({ grader, model, source, concept, rubric }: Grading): string =>
  JSON.stringify([grader, model, source, concept, rubric])
/** A text and what it is rated on. */
export const placeIn = ({ coefficient, prompt, aspect }: Pick<Grade, "coefficient" | "prompt" | "aspect">): string =>
  `${coefficient} ${prompt} ${aspect}`
const placeOf = (grade: Grade): string => `${gradingOf(grade)} ${placeIn(grade)}`
