import { InputError } from "../engine/errors.ts"
import { parseJson, show } from "../engine/json.ts"

/** What a text is graded on, in the order of the tables. */
export const aspects = ["concept", "prompt", "fluency"] as const
export type Aspect = (typeof aspects)[number]

/** The highest rating; the lowest is 0. */
export const BEST_RATING = 2

/** What a question is about. */
export interface Graded {
  /** What the vector steers to. */
  readonly concept: string
  readonly prompt: string
  /** What the model wrote after the prompt. */
  readonly text: string
}

/** The questions that a grader is asked, with {concept}, {prompt} and {text} where these go. */
export type Rubric = Readonly<Record<Aspect, string>>

/** What each question must hold, so that it can be answered, and its answer read. */
const NEEDED: Readonly<Record<Aspect, readonly string[]>> = {
  concept: ["{concept}", "{text}", "Rating: [["],
  prompt: ["{prompt}", "{text}", "Rating: [["],
  fluency: ["{text}", "Rating: [["],
}
const PLACE = /\{(\w+)\}/g
const HEADING = /^##[ \t]+(.+?)[ \t]*$/gm

/**
 * Reads a rubric: Markdown with the headings «## concept», «## prompt» and «## fluency» and a question below each, or JSON with these
 * keys.
 * @param where names the text in errors
 * @throws InputError for a question that is missing, superfluous or there twice, one that lacks a place or says no «Rating: [[»
 */
export function parseRubric(source: string, where: string): Rubric {
  const questions = source.trimStart().startsWith("{") ? fromJson(source, where) : fromMarkdown(source, where)
  const odd = Object.keys(questions).find((name) => !(aspects as readonly string[]).includes(name))
  if (odd !== undefined) throw new InputError({ where, expected: `the questions ${aspects.join(", ")}`, found: show(odd) })
  for (const aspect of aspects) checkQuestion(questions[aspect], aspect, where)
  return { ...(questions as Rubric) }
}

/** A question with what it is about in its places. */
export function fillQuestion(rubric: Rubric, aspect: Aspect, graded: Graded): string {
  return rubric[aspect].replace(PLACE, (_, name: keyof Graded) => graded[name])
}

/** The last rating, 0, 1 or 2, that an answer gives as «Rating: [[1]]»; undefined when there is none. */
export function ratingIn(answer: string): number | undefined {
  const last = [...answer.matchAll(/Rating[\s:*_"[(]{0,8}(\d+(?:\.\d+)?)/gi)].at(-1)
  const rating = Number(last?.[1])
  return Number.isInteger(rating) && rating <= BEST_RATING ? rating : undefined
}

/** n divided by the sum of the inverses, 0 where one of them is 0: good only where all are. */
export function harmonicMean(values: readonly number[]): number {
  if (values.includes(0)) return 0
  return values.length / values.reduce((sum, value) => sum + 1 / value, 0)
}

function fromMarkdown(source: string, where: string): Record<string, string> {
  const text = source.replaceAll("\r\n", "\n")
  const headings = [...text.matchAll(HEADING)]
  const questions: Record<string, string> = {}
  for (const [i, heading] of headings.entries()) {
    const name = heading[1] as string
    if (Object.hasOwn(questions, name))
      throw new InputError({ where: `${where}, ## ${name}`, expected: "one question", found: "several" })
    questions[name] = text.slice(heading.index + heading[0].length, headings[i + 1]?.index).trim()
  }
  return questions
}

function fromJson(source: string, where: string): Record<string, string> {
  const questions = parseJson(source, where) as Record<string, unknown>
  const odd = Object.entries(questions).find(([, question]) => typeof question !== "string")
  if (odd) throw new InputError({ where: `${where}, ${odd[0]}`, expected: "a question, a text", found: show(odd[1]) })
  return questions as Record<string, string>
}

function checkQuestion(question: string | undefined, aspect: Aspect, where: string): void {
  const here = `${where}, ${aspect}`
  if (question === undefined || question === "") {
    const todo = `write it below a heading «## ${aspect}»`
    throw new InputError({ where: here, expected: "a question", found: "none", todo })
  }
  const missing = NEEDED[aspect].find((part) => !question.includes(part))
  if (missing !== undefined) throw new InputError({ where: here, expected: `a question with «${missing}»`, found: "one without" })
  const places = NEEDED[aspect].filter((part) => part.startsWith("{"))
  const odd = [...question.matchAll(PLACE)].find(([place]) => !places.includes(place))
  if (odd) throw new InputError({ where: here, expected: `no places but ${places.join(" and ")}`, found: odd[0] })
}
