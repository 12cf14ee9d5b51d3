import { afterAll, beforeAll, expect, test } from "vitest"
import type { Model } from "../../src/engine/model.ts"
import { embeddedInstructModel } from "../../src/node.ts"
import { loadModel } from "../../src/node/model.ts"
import type { Answer } from "../../src/steering/grades.ts"
import { localGrader } from "../../src/steering/local-grader.ts"
import { testDevice } from "../helpers/device.ts"
import { tinyTalkModel } from "../helpers/models.ts"

const QUESTIONS = ["Is the bridge in «I was born near the long bridge»?", "Is it here?"]
let instruct: Model
beforeAll(async () => {
  instruct = await loadModel(embeddedInstructModel, { device: await testDevice() })
})
afterAll(() => instruct.dispose())

async function rate(model: Model, questions: readonly string[], signal?: AbortSignal): Promise<Answer[]> {
  const answers: Answer[] = []
  await localGrader(model, "00").rate(questions, (i, answer) => (answers[i] = answer), signal)
  return answers
}

/** The probabilities of 0, 1 and 2 after these ids, by the log-probs of whole sequences. */
async function scored(model: Model, ids: readonly number[]): Promise<number[]> {
  const digits = ["0", "1", "2"].map((digit) => model.tokenizer?.id(digit) as number)
  const scores = await model.score(digits.map((digit) => ({ ids: [...ids, digit], from: ids.length })))
  const weights = scores.map(({ logprobs }) => Math.exp(logprobs[0] as number))
  const sum = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight) => weight / sum)
}

test.each<[string, () => Promise<Model>, (model: Model, question: string) => number[]]>([
  ["a base model goes on with the question", tinyTalkModel, (model, question) => model.encode(`${question}\n\nRating: [[`)],
  [
    "an instruct model answers it",
    () => Promise.resolve(instruct),
    (model, question) => {
      const begun = model.tokenizer?.encode("Rating: [[", { addSpecial: false }) ?? []
      return [...model.encodeChat([{ role: "user", content: question }]), ...begun]
    },
  ],
])("%s: its rating is the expected one by the log-probs of 0, 1 and 2", async (_, modelOf, idsOf) => {
  const model = await modelOf()
  const answers = await rate(model, QUESTIONS)
  expect(answers).toHaveLength(2)
  for (const [i, question] of QUESTIONS.entries()) {
    const expected = await scored(model, idsOf(model, question))
    const { rating, probabilities = [] } = answers[i] as Answer
    for (const [j, p] of expected.entries()) expect(probabilities[j]).toBeCloseTo(p, 4)
    expect(rating).toBeCloseTo((expected[1] as number) + 2 * (expected[2] as number), 4)
  }
})

test("more questions than run together have the same answers as alone, and come as the work goes on", async () => {
  const model = await tinyTalkModel()
  const [alone] = await rate(model, ["Is it here?"])
  const many = await rate(model, Array(17).fill("Is it here?"))
  expect(many).toHaveLength(17)
  for (const { rating } of many) expect(rating).toBeCloseTo((alone as Answer).rating, 5)
})

test("stopped, it throws the reason", async () => {
  const reason = new Error("enough")
  await expect(rate(await tinyTalkModel(), QUESTIONS, AbortSignal.abort(reason))).rejects.toBe(reason)
})
