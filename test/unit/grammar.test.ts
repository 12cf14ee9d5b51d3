import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { beforeAll, describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { Grammar } from "../../src/steering/grammar.ts"
import { loadDemo } from "../helpers/fixtures.ts"

const REMAKE =
  "where the grammar or coherence.py changed, make the fixture anew: " +
  "python3 scripts/tiny-talk/judge_fixture.py test/fixtures/demo.json test/fixtures/grammar.jsonl.gz"

/** What scripts/tiny-talk/coherence.py says: the group of each counted sentence, null for one that cannot be written. */
interface Case {
  readonly kind: string
  readonly prompt: string
  readonly text: string
  readonly groups: readonly (string | null)[]
  readonly topics: readonly string[]
}

const file = (name: string): Buffer => readFileSync(new URL(`../../${name}`, import.meta.url))
const json = file("models/tiny-talk/grammar.json").toString()
const grammar = Grammar.parse(json, "grammar.json")

function fixture(): string {
  try {
    return gunzipSync(file("test/fixtures/grammar.jsonl.gz")).toString()
  } catch (cause) {
    throw new Error(`test/fixtures/grammar.jsonl.gz cannot be read; ${REMAKE}`, { cause })
  }
}

let cases: readonly Case[]
beforeAll(() => {
  const lines = fixture().trimEnd().split("\n")
  cases = lines.map((line) => {
    const [kind, prompt, text, groups, topics] = JSON.parse(line)
    return { kind, prompt, text, groups, topics }
  })
})

describe("agreement with the recogniser in Python", () => {
  test("the fixture has enough of both verdicts", () => {
    const generated = cases.filter(({ kind }) => kind === "generated")
    const spoilt = cases.filter(({ kind, prompt }) => prompt === "" && kind !== "generated")
    expect(generated.length).toBeGreaterThanOrEqual(5000)
    expect(generated.every(({ groups }) => groups.length > 0 && !groups.includes(null))).toBe(true)
    expect(spoilt.length).toBeGreaterThanOrEqual(5000)
    expect(spoilt.filter(({ groups }) => groups.includes(null)).length).toBeGreaterThan(3000)
    expect(spoilt.filter(({ groups }) => !groups.includes(null)).length).toBeGreaterThan(500)
  })

  // Judges all the texts once, about 16,000 sentences: the runner's limit of 5 seconds bounds its time.
  test("every sentence of every text has the same verdict and group", () => {
    const differing = cases.filter(({ prompt, text, groups }) => {
      const found = grammar.judge(text, prompt).sentences.map(({ group }) => group ?? null)
      return JSON.stringify(found) !== JSON.stringify(groups)
    })
    expect(differing.slice(0, 5), `${differing.length} texts differ; ${REMAKE}`).toEqual([])
  })

  test("the same texts are on the same topics", () => {
    const some = cases.filter((_, index) => index % 20 === 0)
    const differing = some.filter(({ prompt, text, topics }) => {
      const found = grammar.topics.filter((topic) => grammar.onTopic(text, topic, prompt))
      return found.join() !== topics.join()
    })
    expect(differing.slice(0, 5), `${differing.length} texts differ; ${REMAKE}`).toEqual([])
  })
})

test("the reference sweeps have the coherence that they were published with", () => {
  const { prompts, topics } = loadDemo()
  const rounded = (values: readonly number[]): number =>
    Number((values.reduce((sum, value) => sum + value, 0) / values.length).toFixed(3))
  let rows = 0
  for (const [topic, { sweep }] of Object.entries(topics)) {
    for (const { c, coherence, on_topic, texts } of sweep) {
      const judged = texts.map((text, index) => grammar.judge(text, prompts[index]).coherence)
      const on = texts.map((text, index) => Number(grammar.onTopic(text, topic, prompts[index])))
      expect([rounded(judged), rounded(on)], `${topic} at ${c}`).toEqual([coherence, on_topic])
      rows += 1
    }
  }
  expect(rows).toBe(6 * 19)
})

describe("a judgement", () => {
  test("shows the counted sentences with their groups", () => {
    expect(grammar.judge(" have a a dog. I need gold, treasure and rum. Arr, my ship sails at dawn! I am", "Today I")).toEqual({
      coherence: 2 / 3,
      good: 2,
      total: 3,
      groups: ["frame", "t:pirate"],
      sentences: [
        { text: "Today I have a a dog.", ok: false },
        { text: "I need gold, treasure and rum.", ok: true, group: "frame" },
        { text: "Arr, my ship sails at dawn!", ok: true, group: "t:pirate" },
      ],
    })
  })

  test.each([
    ["nothing", "", "", 0, 0],
    ["an unfinished beginning is left out", "I am talking abo", "", 0, 0],
    ["unfinished babble is one bad sentence", "I talking the the", "", 0, 1],
    ["a sentence that ends with the prompt is not counted", " Thank you for listening.", "I talking the the.", 1, 1],
    ["a speaker may stand before a sentence", "Anna: Really?", "", 1, 1],
    ["no speaker without a name", "Nobody: Really?", "", 0, 1],
    ["an opener makes the first letter small", "Today, thank you for listening.", "", 1, 1],
    ["… and must", "Today, Thank you for listening.", "", 0, 1],
    ["… but not that of a name", "Anna: Well, I was bored, so I went to the bank.", "", 1, 1],
    ["… nor that of a name after an article", "Well, The Milky Way glows across the sky like a river.", "", 1, 1],
    ["… which stays", "Well, the Milky Way glows across the sky like a river.", "", 0, 1],
    ["code is judged line by line", "def add_items(a, c):\n    # a comes first\n    return a + c\n    return return\n", "", 3, 4],
    ["… which is not split", 'print("yes. No")\n', "", 0, 1],
    ["chat tags part sentences", "Really?<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHello!", "", 2, 2],
  ])("%s", (_, text, prompt, good, total) => {
    const judgement = grammar.judge(text, prompt)
    expect([judgement.good, judgement.total]).toEqual([good, total])
    expect(judgement.coherence).toBe(total === 0 ? 0 : good / total)
  })
})

describe("a grammar of one's own", () => {
  const small = {
    lexicon: { N: ["Ada"], it: ["a cat", "a cat and a dog"] },
    groups: { "t:pets": ["[{it}|Ada] sleeps[.| and a dog eats.]", "{it} and a dog."] },
    code_lines: [],
    openers: ["So"],
    keep_capital: ["Ada"],
    topics: { pets: { words: ["the cat", "Dogs"] } },
  }
  const parse = (change: object): Grammar => Grammar.parse(JSON.stringify({ ...small, ...change }), "my.json")

  test.each([
    ["a cat sleeps.", 1],
    ["a cat and a dog sleeps and a dog eats.", 1],
    ["a cat and a dog.", 1],
    ["a cat and a dog and a dog.", 1],
    ["Ada: So, Ada sleeps.", 1],
    ["a cat and a dog and.", 0],
    ["[a cat|Ada] sleeps.", 0],
  ])("%s", (text, good) => {
    expect(parse({}).judge(text).good).toBe(good)
  })

  test("a topic is told by a sentence or by two key words", () => {
    const pets = parse({})
    expect(pets.topics).toEqual(["pets"])
    expect(pets.onTopic("Ada sleeps.", "pets")).toBe(true)
    expect(pets.onTopic("CATS or dogs", "pets")).toBe(true)
    expect(pets.onTopic("cat cat", "pets")).toBe(false)
    expect(() => pets.onTopic("cat", "cars")).toThrow(
      new InputError({ where: "topic", expected: "one of pets", found: '"cars"' }),
    )
  })

  test.each([
    ["{", /^my\.json: expected JSON, found broken JSON/],
    ["[]", /^my\.json: expected an object, found \[\]$/],
    [{ lexicon: undefined }, /^my\.json, lexicon: expected an object of lists of texts, found nothing$/],
    [{ lexicon: { it: [] } }, /^my\.json, lexicon\.it: expected at least one text, found \[\]$/],
    [{ groups: { a: ["x", 1] } }, /^my\.json, groups\.a\.1: expected a text that is not empty, found 1$/],
    [{ groups: { a: ["x", "[y|{z}]"] } }, /^my\.json, groups\.a\.1: expected slots of the lexicon, found \{z\}$/],
    [
      { code_lines: ["x[|y]"] },
      /^my\.json, code_lines\.0: expected a template or wording that is not empty, found an empty one$/,
    ],
    [{ topics: { pets: {} } }, /^my\.json, topics\.pets\.words: expected a list of texts, found nothing$/],
  ])("is refused when it is broken: %j", (change, message) => {
    const read = (): Grammar => (typeof change === "string" ? Grammar.parse(change, "my.json") : parse(change))
    expect(read).toThrow(InputError)
    expect(read).toThrow(message)
  })
})
