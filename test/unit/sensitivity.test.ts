import { expect, test } from "vitest"
import { parsePromptKinds, sensitivity, telling, type Variation } from "../../src/steering/sensitivity.ts"
import { studiedTopic } from "../helpers/studies.ts"

const nllAt20 = { name: "nll", method: "alert", options: { metric: "nll", fraction: 0.2 } } as const
const variation = (value: string, more: Partial<Variation> = {}): Variation => ({
  setting: "tokens",
  value,
  options: {},
  ...more,
})

/** Coherent up to 0.2; the mean nll crosses after 0.2, that of the second prompt alone after 0.1. */
const reference = studiedTopic("bridge", [1, 1, 1, 0, 0], [1, 1, 1, 3, 3], [1, 1, 1.3, 3, 3])

test("a setting is judged by the truth of its own texts, and by the reference's", () => {
  // Its texts make sense up to 0.3 and it picks 0.3: right by its own truth, too high by the reference's.
  const other = studiedTopic("bridge", [1, 1, 1, 1, 0], [1, 1, 1, 1, 3], [1, 1, 1, 1, 3])
  const [row] = sensitivity([reference], [{ variation: variation("64"), studied: [other] }], [nllAt20])
  expect(row).toMatchObject({ setting: "tokens", value: "64" })
  expect(row!.methods[0]).toMatchObject({ picks: [{ pick: 0.3, last: 0.3, coherent: true }], coherent: { value: 1 } })
  expect(row!.againstReference![0]).toMatchObject({ picks: [{ pick: 0.3, last: 0.2, coherent: false }], coherent: { value: 0 } })
})

test("variations of the same setting and value count as one, in the order of the variations", () => {
  const high = studiedTopic("bridge", [1, 1, 0, 0, 0], [1, 1, 1, 3, 3])
  const rows = sensitivity(
    [reference],
    [
      { variation: variation("0.5", { run: "seed 1" }), studied: [reference] },
      { variation: variation("1"), studied: [reference] },
      { variation: variation("0.5", { run: "seed 2" }), studied: [high] },
    ],
    [nllAt20],
  )
  expect(rows.map(({ value }) => value)).toEqual(["0.5", "1", "1 of 2"])
  expect(rows[0]!.methods[0]).toMatchObject({ picks: [{ coherent: true }, { coherent: false }], coherent: { value: 0.5 } })
})

test("where half of the topics make no sense without steering, the reference's truth tells", () => {
  const short = studiedTopic("bridge", [0.5, 1, 1, 1, 1], [1, 1, 3, 3, 3], [1, 1, 3, 3, 3])
  const rows = sensitivity([reference], [{ variation: variation("4"), studied: [short] }], [nllAt20])
  expect(telling(rows[0]!)).toEqual({ methods: rows[0]!.againstReference, byReference: true })
  expect(telling(rows[0]!).methods[0]).toMatchObject({ picks: [{ pick: 0.1, last: 0.2, coherent: true }] })
  expect(telling(rows[1]!)).toEqual({ methods: rows[1]!.methods, byReference: false })
  expect(telling({ ...rows[0]!, againstReference: null }).byReference).toBe(false)
})

test("another model's texts have no reference", () => {
  const generator = { model: {} as never, topics: [] }
  const [row] = sensitivity([reference], [{ variation: variation("instruct", { generator }), studied: [reference] }], [nllAt20])
  expect(row!.againstReference).toBeNull()
})

test("each of the reference's prompts alone is judged by the truth of all; of one prompt there is nothing to see", () => {
  const [row] = sensitivity([reference], [], [nllAt20])
  expect(row).toMatchObject({ setting: "prompts", value: "1 of 2" })
  expect(row!.methods[0]!.picks.map(({ pick }) => pick)).toEqual([0.2, 0.1])
  expect(sensitivity([studiedTopic("bridge", [1, 1, 1], [1, 1, 1])], [], [nllAt20])).toEqual([])
})

test.each([
  ["no JSON", "{", /^kinds\.json: expected JSON/],
  ["a list", "[]", /^kinds\.json: expected an object of lists of prompts, found \[\]/],
  ["a kind without prompts", '{"story": []}', /^kinds\.json, story: expected at least one prompt, found \[\]/],
  ["an empty prompt", '{"story": [""]}', /^kinds\.json, story\.0: expected a prompt that is not empty, found ""/],
  ["a number", '{"story": [1]}', /^kinds\.json, story\.0: expected a prompt, found 1/],
])("kinds of prompts: %s is refused", (_, json, message) => {
  expect(() => parsePromptKinds(json, "kinds.json")).toThrow(message)
})
