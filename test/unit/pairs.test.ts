import { describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { parsePairs } from "../../src/steering/pairs.ts"

test("every line is a pair; blank lines, other keys, a byte order mark and CRLF do no harm", () => {
  const text = '\uFEFF{"positive": "a", "negative": "b"}\r\n\n   \n{"negative": "d\\n", "positive": "c", "topic": 1}'
  expect(parsePairs(text)).toEqual([
    { positive: "a", negative: "b" },
    { positive: "c", negative: "d\n" },
  ])
})

describe("a bad file is refused with its line", () => {
  const good = '{"positive": "a", "negative": "b"}\n'
  test.each([
    ["nothing", "", /^f\.jsonl: .*no pairs$/],
    ["blank lines alone", "\n  \n", /^f\.jsonl: .*no pairs$/],
    ["no JSON", `${good}\n{positive}`, /^f\.jsonl, line 3: .*found broken JSON/],
    ["an array", '["a", "b"]', /^f\.jsonl, line 1: .*found \["a","b"\]$/],
    ["null", "null", /line 1: .*found null$/],
    ["a string", '"a"', /line 1: .*found "a"$/],
    ["no positive", `${good}{"negative": "b"}`, /line 2: .*as "positive", found no key "positive"$/],
    ["no negative", '{"positive": "b"}', /line 1: .*as "negative", found no key "negative"$/],
    ["an empty text", '{"positive": "", "negative": "b"}', /line 1: .*as "positive", found an empty one$/],
    ["a blank text", '{"positive": "a", "negative": " \\t"}', /line 1: .*as "negative", found an empty one$/],
    ["equal sides", `${good}{"positive": "a", "negative": "a"}`, /line 2: expected two sides that differ, found "a" twice$/],
    ["a number", '{"positive": "a", "negative": 7}', /line 1: .*as "negative", found 7$/],
  ])("%s", (_, text, message) => {
    const parse = (): unknown => parsePairs(text, "f.jsonl")
    expect(parse).toThrow(InputError)
    expect(parse).toThrow(message)
    expect(parse).not.toThrow(/\n/)
  })
})
