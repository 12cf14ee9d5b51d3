import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { defaultRubric } from "../../src/node.ts"
import { aspects, fillQuestion, harmonicMean, parseRubric, ratingIn } from "../../src/steering/rubric.ts"

const END = "Rating: [[n]]"
const QUESTIONS = {
  concept: `Is {concept} in {text}? ${END}`,
  prompt: `Does {text} serve {prompt}? ${END}`,
  fluency: `{text}? ${END}`,
}
const markdown = (questions: Readonly<Record<string, string>>): string =>
  Object.entries(questions)
    .map(([name, question]) => `## ${name}\n\n${question}\n`)
    .join("\n")

test("the rubric that comes with the package asks three questions and says how to answer", () => {
  const rubric = parseRubric(readFileSync(defaultRubric, "utf8"), "axbench.md")
  for (const aspect of aspects) {
    const question = fillQuestion(rubric, aspect, { concept: "CONCEPT", prompt: "PROMPT", text: "TEXT" })
    expect(question).toMatch(/^You are an impartial judge\.[^]*Rating: \[\[n\]\]$/)
    expect(question).not.toMatch(/[{}#]/)
    const holds = ["CONCEPT", "PROMPT", "TEXT"].filter((part) => question.includes(part))
    expect(holds).toEqual({ concept: ["CONCEPT", "TEXT"], prompt: ["PROMPT", "TEXT"], fluency: ["TEXT"] }[aspect])
  }
})

test.each([
  ["Markdown", `# Mine\n\nAny words.\n\n${markdown(QUESTIONS)}`],
  ["Markdown with a PC's line ends", `# Mine\n\n${markdown(QUESTIONS)}`.replaceAll("\n", "\r\n")],
  ["JSON", JSON.stringify(QUESTIONS)],
])("a rubric is read as %s", (_, source) => {
  expect(parseRubric(source, "mine")).toEqual(QUESTIONS)
})

test("what is graded may hold places and signs of its own", () => {
  const graded = { concept: "$& {text}", prompt: "", text: "{concept} $1" }
  expect(fillQuestion(QUESTIONS, "concept", graded)).toBe("Is $& {text} in {concept} $1? Rating: [[n]]")
})

test.each<[string, string, RegExp]>([
  ["no text", "", /^mine, concept: expected a question, found none; write it below a heading «## concept»$/],
  ["broken JSON", '{"concept": ', /^mine: expected JSON/],
  ["a question that is no text", '{"concept": 7}', /^mine, concept: expected a question, a text, found 7/],
  ["a missing question", markdown({ ...QUESTIONS, fluency: "" }), /^mine, fluency: expected a question, found none/],
  [
    "another question",
    markdown({ ...QUESTIONS, truth: "?" }),
    /^mine: expected the questions concept, prompt, fluency, found "truth"/,
  ],
  ["a question twice", markdown(QUESTIONS) + markdown(QUESTIONS), /^mine, ## concept: expected one question, found several/],
  ["no text in a question", markdown({ ...QUESTIONS, fluency: END }), /^mine, fluency: expected a question with «\{text\}»/],
  ["no concept in its question", markdown({ ...QUESTIONS, concept: `{text} ${END}` }), /^mine, concept: .*«\{concept\}»/],
  [
    "no way to answer",
    markdown({ ...QUESTIONS, prompt: "{text} {prompt}" }),
    /^mine, prompt: expected a question with «Rating: \[\[»/,
  ],
  [
    "an unknown place",
    markdown({ ...QUESTIONS, fluency: `{text} {topic} ${END}` }),
    /^mine, fluency: expected no places but \{text\}, found \{topic\}/,
  ],
])("a rubric with %s is refused", (_, source, message) => {
  expect(() => parseRubric(source, "mine")).toThrow(InputError)
  expect(() => parseRubric(source, "mine")).toThrow(message)
})

test.each<[string, number | undefined]>([
  ["Rating: [[0]]", 0],
  ["It is there.\n\nRating: [[2]]", 2],
  ["**Rating:** [[1]]", 1],
  ["**Rating: [[1]]**", 1],
  ["rating: 2", 2],
  ["Rating: [[ 1 ]]", 1],
  ["I say Rating: [[n]] as asked. Rating: [[2]].", 2],
  ["Rating: [[1]], or rather Rating: [[0]]", 0],
  ["Rating: [[n]]", undefined],
  ["Rating: [[3]]", undefined],
  ["Rating: [[10]]", undefined],
  ["Rating: [[1.5]]", undefined],
  ["Rating: -1", undefined],
  ["2", undefined],
  ["", undefined],
])("the answer %j is rated %s", (answer, rating) => {
  expect(ratingIn(answer)).toBe(rating)
})

test.each([
  [[2, 2, 2], 2],
  [[0, 2, 2], 0],
  [[1, 1, 2], 1.2],
  [[0.5, 1, 2], 6 / 7],
])("the harmonic mean of %j", (values, expected) => {
  expect(harmonicMean(values)).toBeCloseTo(expected, 12)
})
