import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import type { Model } from "../../src/engine/model.ts"
import { gradesIn, openGrades } from "../../src/node/grades-file.ts"
import {
  areaUnderCurve,
  agreementWithGrammar,
  agreementWithLabels,
  cohensKappa,
  type Judged,
} from "../../src/steering/agreement.ts"
import { gradedTexts, summariseGrades } from "../../src/steering/grade-summary.ts"
import {
  conceptOf,
  estimateGrading,
  type Grade,
  gradeQuestions,
  type Grader,
  type GradeStore,
  gradingsIn,
  type Question,
  questionsOf,
  writeGrades,
} from "../../src/steering/grades.ts"
import { Grammar } from "../../src/steering/grammar.ts"
import { localGrader } from "../../src/steering/local-grader.ts"
import type { Run } from "../../src/steering/record.ts"
import { Labels } from "../../src/steering/truth.ts"
import { tinyTalkFolder } from "../helpers/fixtures.ts"
import { gradableRun } from "../helpers/runs.ts"

const scratch = mkdtempSync(join(tmpdir(), "redline-grades-"))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const rubric = { concept: "{concept} in {text}?", prompt: "{text} after {prompt}?", fluency: "{text}?" }
const grading = { grader: "openai", model: "judge", source: "here", concept: "bridge", rubric: "00" }
// Three coefficients and two prompts; the texts at 0 and 1 are the same.
const run = gradableRun([
  ["A", "B"],
  ["A", "B"],
  ["C", "D"],
])
const questions = questionsOf(run, rubric, "bridge", (ask) => `key of ${ask}`)

/** A grader that rates by the question's first letter, and what it was asked. */
function grader(rate: (question: string) => number | undefined): Grader & { readonly asked: string[] } {
  const asked: string[] = []
  return {
    ...grading,
    asked,
    rate(all, onAnswer) {
      for (const [i, question] of all.entries()) {
        asked.push(question)
        const rating = rate(question)
        if (rating !== undefined) onAnswer(i, { rating, reply: `about ${question}` })
      }
      return Promise.resolve()
    },
  }
}

function memory(known: readonly Grade[] = []): GradeStore & { readonly added: Grade[] } {
  const added: Grade[] = []
  return { known, added, append: (grades) => void added.push(...grades) }
}
const placed = ({ coefficient, prompt, aspect, rating }: Grade): string => `${coefficient} ${prompt} ${aspect} ${rating}`

describe("the questions", () => {
  test("are three about every text, with what it is about in them", () => {
    expect(questions).toHaveLength(18)
    expect(questions.slice(0, 4)).toEqual<Question[]>([
      { coefficient: 0, prompt: 0, aspect: "concept", ask: "bridge in A?", key: "key of bridge in A?" },
      {
        coefficient: 0,
        prompt: 0,
        aspect: "prompt",
        ask: "A after I am <script>alert(1)</script>?",
        key: "key of A after I am <script>alert(1)</script>?",
      },
      { coefficient: 0, prompt: 0, aspect: "fluency", ask: "A?", key: "key of A?" },
      { coefficient: 0, prompt: 1, aspect: "concept", ask: "bridge in B?", key: "key of bridge in B?" },
    ])
  })

  test("are of the coefficients that are asked for", () => {
    const some = questionsOf(run, rubric, "bridge", String, [0, 2])
    expect([...new Set(some.map(({ coefficient }) => coefficient))]).toEqual([0, 2])
  })

  test.each<[string, Run, readonly number[] | undefined, string]>([
    [
      "a run without a curve",
      { ...run, curve: [] },
      undefined,
      "bridge: expected a run with texts, found no coefficient that is done",
    ],
    ["another coefficient", run, [0, 0.7], "coefficients: expected some of the run's 0, 1, 2, found 0.7"],
    [
      "ids alone",
      gradableRun([[undefined, "B"]]),
      undefined,
      "bridge: expected prompts and completions with their texts, found ids alone",
    ],
  ])("of %s are refused", (_, odd, coefficients, message) => {
    const ask = (): unknown => questionsOf(odd, rubric, "bridge", String, coefficients)
    expect(ask).toThrow(InputError)
    expect(ask).toThrow(message)
  })

  test("are counted before they are asked", () => {
    const known = [{ ...grading, ...(questions[0] as Question), rating: 1 }]
    const all = { questions: 18, distinct: 12, known: 0, calls: 12 }
    expect(estimateGrading(questions, [], "openai")).toMatchObject({ ...all, outputTokens: 12 * 80 })
    expect(estimateGrading(questions, known, "local")).toMatchObject({ ...all, known: 1, calls: 11, outputTokens: 0 })
    const characters = (from: number): number =>
      [...new Set(questions.map(({ ask }) => ask))].slice(from).reduce((sum, ask) => sum + ask.length, 0)
    expect(estimateGrading(questions, [], "openai").inputTokens).toBe(Math.ceil(characters(0) / 4))
    expect(estimateGrading(questions, known, "openai").inputTokens).toBe(Math.ceil(characters(1) / 4))
  })
})

describe("grading", () => {
  test("asks what is the same once, and stores it for every text", async () => {
    const [store, by] = [memory(), grader(() => 1)]
    const grades = await gradeQuestions(questions, grading, by, store)
    expect(by.asked).toHaveLength(12)
    expect(new Set(by.asked).size).toBe(12)
    expect(grades.map(placed)).toEqual(questions.map((question) => placed({ ...grading, ...question, rating: 1 })))
    expect(store.added.map(placed).toSorted()).toEqual(grades.map(placed).toSorted())
    expect(store.added[0]).toEqual({
      ...grading,
      coefficient: 0,
      prompt: 0,
      aspect: "concept",
      rating: 1,
      reply: "about bridge in A?",
      key: "key of bridge in A?",
    })
  })

  test("again it asks nothing, stores nothing and gives the same", async () => {
    const store = memory()
    const first = await gradeQuestions(
      questions,
      grading,
      grader((question) => question.length % 3),
      store,
    )
    const again = memory(store.added)
    const by = grader(() => 0)
    expect(await gradeQuestions(questions, grading, by, again)).toEqual(first)
    expect([by.asked, again.added]).toEqual([[], []])
  })

  test("interrupted it goes on: what is known is not asked, what failed is", async () => {
    const store = memory()
    const failing = { ...grading, rate: () => Promise.reject(new Error("gone")) }
    const half = grader((question) => (question.startsWith("A") ? 2 : undefined))
    expect(await gradeQuestions(questions, grading, half, store)).toHaveLength(4)
    await expect(gradeQuestions(questions, grading, failing, memory(store.added))).rejects.toThrow("gone")
    const rest = grader(() => 1)
    const progress: string[] = []
    const onProgress = (done: number, total: number): void => void progress.push(`${done}/${total}`)
    const grades = await gradeQuestions(questions, grading, rest, memory(store.added), { onProgress })
    expect(rest.asked).toHaveLength(10)
    expect(rest.asked.filter((question) => question.startsWith("A"))).toEqual([])
    expect(progress.at(0)).toBe("1/10")
    expect(progress.at(-1)).toBe("10/10")
    expect(grades).toHaveLength(18)
  })

  test("under another rubric's name the same question's answer is stored again, not asked again", async () => {
    const store = memory()
    await gradeQuestions(
      questions,
      grading,
      grader(() => 1),
      store,
    )
    const [other, by] = [memory(store.added), grader(() => 2)]
    const grades = await gradeQuestions(questions, { ...grading, rubric: "01" }, by, other)
    expect(by.asked).toEqual([])
    expect(other.added).toHaveLength(18)
    expect(grades.every(({ rubric: of, rating }) => of === "01" && rating === 1)).toBe(true)
    expect(gradingsIn([...store.added, ...other.added]).map((group) => [group.length, group[0]?.rubric])).toEqual([
      [18, "00"],
      [18, "01"],
    ])
  })
})

/** Grades of a text: concept, prompt, fluency. */
const rated = (coefficient: number, prompt: number, ...ratings: readonly number[]): Grade[] =>
  (["concept", "prompt", "fluency"] as const).flatMap((aspect, i) => {
    const rating = ratings[i]
    return rating === undefined
      ? []
      : [{ ...grading, coefficient, prompt, aspect, rating, key: `${coefficient}${prompt}${aspect}` }]
  })

describe("a summary", () => {
  test("means the texts' harmonic means, of the texts that have all three ratings", () => {
    const grades = [...rated(1, 0, 2, 2, 2), ...rated(0, 0, 0, 2, 2), ...rated(0, 1, 1, 1, 2), ...rated(1, 1, 2, 2)]
    const { curve, best, ...rest } = summariseGrades(grading, grades)
    expect(rest).toEqual(grading)
    expect(curve).toEqual([
      { coefficient: 0, concept: 0.5, prompt: 1.5, fluency: 2, overall: expect.closeTo(0.6, 12), texts: 2 },
      { coefficient: 1, concept: 2, prompt: 2, fluency: 2, overall: 2, texts: 1 },
    ])
    expect(best?.coefficient).toBe(1)
  })

  test("the best of equals is the smallest coefficient; without whole texts there is none", () => {
    expect(summariseGrades(grading, [...rated(2, 0, 1, 1, 1), ...rated(1, 0, 1, 1, 1)]).best?.coefficient).toBe(1)
    expect(summariseGrades(grading, rated(0, 0, 1, 1))).toMatchObject({ curve: [], best: null })
  })
})

const items = (...pairs: readonly (readonly [number, number])[]): Judged[] =>
  pairs.map(([rating, truth]) => ({ rating, truth: truth === 1 }))

describe("agreement", () => {
  // 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: Cohen's kappa 0.4.
  const times = (count: number, rating: number, truth: number): (readonly [number, number])[] =>
    Array.from({ length: count }, () => [rating, truth] as const)
  const cells = [...times(20, 2, 1), ...times(5, 2, 0), ...times(10, 0, 1), ...times(15, 0, 0)]

  test.each<[string, Judged[], number, number | null]>([
    ["the textbook's case", items(...cells), 0.7, 0.4],
    ["all the same", items([2, 1], [0, 0]), 1, 1],
    ["all the other way", items([0, 1], [2, 0]), 0, -1],
    ["a grader that always says yes", items([2, 1], [2, 0], [1.5, 1]), 2 / 3, 0],
    ["one that cannot err", items([2, 1], [2, 1]), 1, null],
  ])("of %s: share and kappa", (_, judged, share, kappa) => {
    const found = cohensKappa(judged, 2)
    expect(found.agree).toBeCloseTo(share, 12)
    if (kappa === null) expect(found.kappa).toBeNull()
    else expect(found.kappa).toBeCloseTo(kappa, 12)
  })

  test.each<[Judged[], number | null]>([
    [items([2, 1], [1, 1], [0, 0]), 1],
    [items([0, 1], [2, 0]), 0],
    [items([1, 1], [1, 0]), 0.5],
    [items([1.2, 1], [1.1, 0], [1.3, 0], [1.25, 1]), 0.5],
    [items([1, 1]), null],
  ])("the AUC of %j", (judged, expected) => {
    expect(areaUnderCurve(judged)).toBe(expected)
  })

  test("with a grammar is of every text, on coherence and on the topic", () => {
    const grammar = Grammar.parse(readFileSync(`${tinyTalkFolder}/grammar.json`, "utf8"), "grammar.json")
    const written = gradableRun(
      [[" The bridge spans the blue bay.", " Drivers Drivers Drivers cargo ships."]],
      ["Well.", "Well."],
    )
    const texts = gradedTexts([...rated(0, 0, 2, 1, 2), ...rated(0, 1, 0, 1, 1)])
    const whole = { items: 2, positive: 0.5, truth: "grammar" }
    expect(agreementWithGrammar(texts, written, grammar, "bridge")).toEqual([
      { ...whole, aspect: "fluency", atLeast: 1, agree: 0.5, kappa: 0, auc: 1 },
      { ...whole, aspect: "fluency", atLeast: 2, agree: 1, kappa: 1, auc: 1 },
      { ...whole, aspect: "concept", atLeast: 1, agree: 1, kappa: 1, auc: 1 },
      { ...whole, aspect: "concept", atLeast: 2, agree: 1, kappa: 1, auc: 1 },
    ])
    expect(agreementWithGrammar(texts, written, grammar, "the sea").map(({ aspect }) => aspect)).toEqual(["fluency", "fluency"])
  })

  test("with labels is text by text where a list labels them, and of the mean where a share does", () => {
    const labels = Labels.parse('{"bridge": {"0": [1, 0], "1": 0.8, "2": null}}', "labels.json")
    const texts = gradedTexts([0, 1, 2].flatMap((c) => [...rated(c, 0, 1, 1, 2), ...rated(c, 1, 1, 1, 1)]))
    expect(agreementWithLabels(texts, labels, "bridge")).toEqual([
      // 2 beside true, 1 beside false, the mean 1.5 beside true.
      { aspect: "fluency", truth: "labels", atLeast: 1, items: 3, positive: 2 / 3, agree: 2 / 3, kappa: 0, auc: 1 },
      { aspect: "fluency", truth: "labels", atLeast: 2, items: 3, positive: 2 / 3, agree: 1, kappa: 1, auc: 1 },
    ])
    expect(agreementWithLabels(texts, labels, "pirate")).toEqual([])
  })
})

test.each<[unknown, string | undefined]>([
  ["64 pairs of bridge.jsonl", "bridge"],
  ["1 pair of my topic.jsonl", "my topic"],
  ["«I love weddings» against «I hate them», 64 suffixes", "I love weddings"],
  ["«I am talking about a very long text that was cut short so that…» against «no»", undefined],
  ["a feature", undefined],
  [undefined, undefined],
])("a vector made from %j steers to %s", (createdFrom, concept) => {
  expect(conceptOf({ vector: { createdFrom } })).toBe(concept)
})

describe("the file of ratings", () => {
  const grades = [...rated(0, 0, 1, 2, 0), ...rated(1, 0, 1, 1, 1)]

  test("keeps what came before a kill, and drops a torn line", async () => {
    {
      using store = await openGrades(scratch)
      store.append(grades.slice(0, 2))
      store.append(grades.slice(2, 4))
    }
    appendFileSync(
      join(scratch, "grades.jsonl"),
      Buffer.from(writeGrades([{ ...(grades[4] as Grade), concept: "ä" }])).subarray(0, 70),
    )
    expect(await gradesIn(scratch)).toEqual(grades.slice(0, 4))
    {
      using store = await openGrades(scratch)
      expect([store.known, store.torn]).toEqual([grades.slice(0, 4), true])
      store.append(grades.slice(4))
    }
    expect(readFileSync(join(scratch, "grades.jsonl"), "utf8")).toBe(writeGrades(grades))
  })

  test.each([
    ["no JSON", "{", "grades.jsonl, line 2: expected JSON"],
    [
      "no rating",
      JSON.stringify({ ...grades[0], rating: undefined }),
      "grades.jsonl, line 2, rating: expected a number, found nothing",
    ],
    [
      "a rating off the scale",
      JSON.stringify({ ...grades[0], rating: 3 }),
      "grades.jsonl, line 2, rating: expected 0 to 2, found 3",
    ],
    [
      "an unknown aspect",
      JSON.stringify({ ...grades[0], aspect: "truth" }),
      "grades.jsonl, line 2, aspect: expected one of concept",
    ],
  ])("with %s in a line in the middle is refused, and stays as it is", async (_, line, message) => {
    const source = `${writeGrades(grades.slice(0, 1))}${line}\n${writeGrades(grades.slice(1))}`
    writeFileSync(join(scratch, "grades.jsonl"), source)
    await expect(openGrades(scratch)).rejects.toThrow(message)
    await expect(gradesIn(scratch)).rejects.toThrow(message)
    expect(readFileSync(join(scratch, "grades.jsonl"), "utf8")).toBe(source)
  })
})

test("a local grader without tokens to rate with is refused", () => {
  expect(() => localGrader({ name: "mute", tokenizer: undefined } as Model, "00")).toThrow(
    "mute: expected a token «0» to rate with, found none; choose another model with --model, or another grader",
  )
})
