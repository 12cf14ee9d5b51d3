import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { Grammar } from "../../src/steering/grammar.ts"
import { grammarTruth, Labels } from "../../src/steering/truth.ts"
import { tinyTalkFolder } from "../helpers/fixtures.ts"

const grid = new Map([["bridge", [0, 0.1, 0.2, 0.3]]])
const at = (coefficient: number) => ({ coefficient, completions: [] })

describe("labels by hand", () => {
  test("are shares, true or false, or lists of them, of which the mean counts", () => {
    const labels = Labels.parse('{"bridge": {"0": 1, "0.1": true, "0.2": [1, 0, true, 0], "0.3": false}}', "labels.json")
    labels.check(grid)
    const { coherence } = labels.truth()
    expect([0, 0.1, 0.2, 0.3, 0.4].map((c) => coherence("bridge", at(c), []))).toEqual([1, 1, 0.5, 0, null])
    expect(coherence("pirate", at(0), [])).toBeNull()
  })

  test("are needed as far as the first coefficient that is not coherent", () => {
    const whole = (json: string, coefficients: number[]) => () =>
      Labels.parse(json, "labels.json").check(new Map([["bridge", coefficients]]))
    expect(whole('{"bridge": {"0": 1, "0.1": 0.74, "0.2": null}}', [0, 0.1, 0.2, 0.3])).not.toThrow()
    expect(whole('{"bridge": {"0": 0}}', [-0.1, 0, 0.1])).not.toThrow()
  })

  test("a template has a place for every label and is refused until they are there", () => {
    const template = Labels.template(grid)
    expect(template).toBe('{\n  "bridge": {"0":null,"0.1":null,"0.2":null,"0.3":null}\n}\n')
    expect(() => Labels.parse(template, "labels.json").check(grid)).toThrow(
      'labels.json, "bridge": expected a label for 0, found none; read the texts there and give one',
    )
  })

  test.each([
    ["no JSON", "{", /^labels\.json: expected JSON, found broken JSON/],
    ["a list", "[]", /^labels\.json: expected an object by topic, found \[\]/],
    ["a share above 1", '{"bridge": {"0": 1.5}}', /^labels\.json, bridge\.0: expected a share from 0 to 1, .*, found 1\.5/],
    ["a word", '{"bridge": {"0": "good"}}', /^labels\.json, bridge\.0: expected a share from 0 to 1, .*, found "good"/],
    ["an empty list", '{"bridge": {"0": []}}', /^labels\.json, bridge\.0: expected a share/],
    ["no number for a coefficient", '{"bridge": {"often": 1}}', /^labels\.json, bridge: expected coefficients, found "often"/],
  ])("%s is refused", (_, json, message) => {
    expect(() => Labels.parse(json, "labels.json")).toThrow(message)
  })

  test.each([
    [
      "a label for an unknown coefficient",
      '{"bridge": {"0": 1, "0.15": 1}}',
      /"bridge": expected a coefficient that was run: 0, 0\.1, 0\.2, 0\.3, found a label for 0\.15/,
    ],
    [
      "labels for an unknown topic",
      '{"pirate": {"0": 1}}',
      /"pirate": expected a topic of the study: bridge, found a label for another/,
    ],
    ["a missing label", '{"bridge": {"0": 1, "0.2": 1}}', /"bridge": expected a label for 0\.1, found none/],
    ["a missing topic", "{}", /"bridge": expected a label for 0, found none/],
  ])("%s does not fit the study", (_, json, message) => {
    expect(() => Labels.parse(json, "labels.json").check(grid)).toThrow(message)
  })
})

describe("the grammar's truth", () => {
  const grammar = Grammar.parse(readFileSync(`${tinyTalkFolder}/grammar.json`, "utf8"), "grammar.json")
  const { coherence, onTopic } = grammarTruth(grammar)
  const texts = (...all: string[]) => ({ coefficient: 0, completions: all.map((text) => ({ text })) })

  test("is the mean over the completions, each going on from its prompt", () => {
    const point = texts(" like warm days and simple things.", "Drivers Drivers Drivers cargo ships.")
    expect(coherence("bridge", point, ["I", ""])).toBe(0.5)
    expect(coherence("bridge", point, ["", ""])).toBe(0)
  })

  test("knows what is about a topic of the grammar, and nothing of others", () => {
    const point = texts("The bridge crosses the bay.", "I was born near the beach twenty years ago.")
    expect(onTopic!("bridge", point, ["", ""])).toBe(0.5)
    expect(onTopic!("my own topic", point, ["", ""])).toBeNull()
  })
})
