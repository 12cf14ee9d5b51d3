import { describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { pairsFromPrompts, pairsFromTemplate, type TemplateOptions } from "../../src/steering/datasets.ts"
import { suffixes } from "../../src/steering/suffixes.ts"

const good: TemplateOptions = {
  template: "Be {persona}. I",
  positive: ["kind", "warm"],
  negative: ["rude", "cold"],
  suffixes: ["woke up", "saw"],
}

describe("pairs from a template", () => {
  test("every suffix meets every couple of personas, after a space", () => {
    expect(pairsFromTemplate(good)).toEqual([
      { positive: "Be kind. I woke up", negative: "Be rude. I woke up" },
      { positive: "Be warm. I woke up", negative: "Be cold. I woke up" },
      { positive: "Be kind. I saw", negative: "Be rude. I saw" },
      { positive: "Be warm. I saw", negative: "Be cold. I saw" },
    ])
  })

  test("the suffix goes where the template says, and placeholders may recur", () => {
    const [pair] = pairsFromTemplate({ ...good, template: "<{persona}>\n\n{suffix}|{persona}" })
    expect(pair).toEqual({ positive: "<kind>\n\nwoke up|kind", negative: "<rude>\n\nwoke up|rude" })
  })

  test("personas and suffixes are taken literally", () => {
    const [pair] = pairsFromTemplate({
      template: "{persona}",
      positive: ["$& {suffix}"],
      negative: ["$1"],
      suffixes: ["$' {persona}"],
    })
    expect(pair).toEqual({ positive: "$& {suffix} $' {persona}", negative: "$1 $' {persona}" })
  })

  test("truncated, every beginning of a suffix gives a pair, equal ones once", () => {
    const options = { ...good, positive: ["kind"], negative: ["rude"], suffixes: ["saw it, then", "saw it  go"], truncate: true }
    expect(pairsFromTemplate(options).map(({ positive }) => positive)).toEqual([
      "Be kind. I saw",
      "Be kind. I saw it,",
      "Be kind. I saw it, then",
      "Be kind. I saw it",
      "Be kind. I saw it  go",
    ])
  })

  test.each<[string, Partial<TemplateOptions>, RegExp]>([
    ["no placeholder", { template: "I am" }, /^template: expected the placeholder \{persona\}, found "I am"; /],
    ["no personas", { positive: [], negative: [] }, /^personas: expected .*, found 0 positive, 0 negative$/],
    ["lists of unequal length", { negative: ["rude"] }, /^personas: .*found 2 positive, 1 negative$/],
    ["no suffixes", { suffixes: [] }, /^suffixes: expected at least one, found none$/],
    ["an empty persona", { positive: ["kind", " "] }, /^personas 2: .*as "positive", found an empty one$/],
    ["equal personas", { negative: ["kind", "cold"] }, /^personas 1: expected two sides that differ, found "kind" twice$/],
  ])("%s is refused", (_, change, message) => {
    const build = (): unknown => pairsFromTemplate({ ...good, ...change })
    expect(build).toThrow(InputError)
    expect(build).toThrow(message)
  })
})

describe("pairs from a positive and a negative prompt", () => {
  test("both go on with each of the suffixes, as sentences of their own", () => {
    const pairs = pairsFromPrompts("I am happy", "Am I sad?")
    expect(pairs.length).toBe(suffixes.length)
    expect(pairs[0]).toEqual({ positive: `I am happy. ${suffixes[0]}`, negative: `Am I sad? ${suffixes[0]}` })
  })

  test.each([
    ["a letter at the end", "grün", "grün. S"],
    ["a digit", "In 1984", "In 1984. S"],
    ["a full stop", "Happy.", "Happy. S"],
    ["a quotation mark", "He said «yes»", "He said «yes» S"],
    ["blanks", "Happy \n", "Happy. S"],
  ])("%s", (_, prompt, positive) => {
    expect(pairsFromPrompts(prompt, "Sad", { suffixes: ["S"] })).toEqual([{ positive, negative: "Sad. S" }])
  })

  test("a template leaves the prompts as they are", () => {
    const [pair] = pairsFromPrompts("happy", "sad", { suffixes: ["Well"], template: "You are a {persona} person:\n{suffix}" })
    expect(pair).toEqual({ positive: "You are a happy person:\nWell", negative: "You are a sad person:\nWell" })
  })

  test.each([
    ["an empty one", "", "Sad", /^prompts: .*as "positive", found an empty one$/],
    ["a blank one", "Happy", "  ", /^prompts: .*as "negative", found an empty one$/],
    ["equal ones", "Happy", "Happy", /^prompts: expected two sides that differ, found "Happy" twice$/],
    ["equal ones but for blanks at the end", "Happy ", "Happy", /expected two sides that differ/],
  ])("%s is refused", (_, positive, negative, message) => {
    expect(() => pairsFromPrompts(positive, negative)).toThrow(InputError)
    expect(() => pairsFromPrompts(positive, negative)).toThrow(message)
  })
})

test("the suffixes of this project are distinct beginnings of sentences", () => {
  expect(suffixes.length).toBeGreaterThanOrEqual(60)
  expect(new Set(suffixes).size).toBe(suffixes.length)
  for (const suffix of suffixes) expect(suffix).toMatch(/^[A-Z][\w', ]*[\w',]$/)
  // None may colour a vector: no first word speaks for a fifth of them.
  const first = suffixes.map((suffix) => suffix.split(" ")[0])
  for (const word of first) expect(first.filter((other) => other === word).length).toBeLessThan(suffixes.length / 5)
})
