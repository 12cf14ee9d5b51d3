import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { Tokenizer } from "../../src/engine/tokenizer.ts"

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")
const json = read("models/tiny-talk/tokenizer.json")
const tokenizer = Tokenizer.parse(json, read("models/tiny-talk/tokenizer_config.json"), "tokenizer.json")
const { cases } = JSON.parse(read("test/fixtures/reference.json")) as { cases: { name: string; text: string; ids: number[] }[] }
const BOS = 4080
const EOS = 4081

test.each(cases)("the reference case $name is encoded and decoded", ({ text, ids }) => {
  expect(tokenizer.encode(text)).toEqual(ids)
  expect(tokenizer.decode(ids)).toBe(text)
})

test("the empty text is the beginning-of-text token alone", () => {
  expect(tokenizer.encode("")).toEqual([BOS])
  expect(tokenizer.decode([BOS])).toBe("")
  expect(tokenizer.decode([])).toBe("")
})

test("a special token in a text is one id, spelt out only where that is asked", () => {
  const ids = tokenizer.encode("a<|end_of_text|>b")
  expect(ids).toContain(EOS)
  expect(tokenizer.decode(ids)).toBe("ab")
  expect(tokenizer.decode(ids, { special: true })).toBe("<|begin_of_text|>a<|end_of_text|>b")
})

test("spaces before punctuation stay, also without a tokenizer_config.json that asks for it", () => {
  const text = "Well , it 's  here . Is it ? do n't !"
  const plain = Tokenizer.parse(json, undefined, "tokenizer.json")
  const cleaning = Tokenizer.parse(json, '{"clean_up_tokenization_spaces": true}', "tokenizer.json")
  for (const one of [tokenizer, plain, cleaning]) expect(one.decode(one.encode(text))).toBe(text)
})

test("an id outside the vocabulary has no token and no text", () => {
  expect(tokenizer.token(40)).toBe("I")
  expect(tokenizer.token(99_999)).toBeUndefined()
  expect(tokenizer.token(-1)).toBeUndefined()
  expect(tokenizer.decode([40, 99_999])).toBe("I")
})

describe("a stream", () => {
  const loneSurrogate = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/

  const pieces = (ids: readonly number[], special = false): string[] => {
    const stream = tokenizer.stream({ special })
    return [...ids.map((id) => stream.push(id)), stream.end()]
  }

  test.each([
    "plain words, with commas.",
    "👩‍👩‍👧‍👦 family 🙂🙃",
    "漢字かな交じり文",
    "é à ü ß",
    "\uFFFD kept \uFFFD",
    "a\n\n b\t  c",
    "نص",
  ])("gives whole characters of %j", (text) => {
    const given = pieces(tokenizer.encode(text))
    expect(given.join("")).toBe(text)
    for (const piece of given) expect(piece).not.toMatch(loneSurrogate)
    expect(given.join("|").replaceAll(/[^\uFFFD]/g, "")).toBe(text.replaceAll(/[^\uFFFD]/g, ""))
  })

  test("gives text as soon as it is whole", () => {
    expect(pieces(tokenizer.encode("I am"))).toEqual(["", "I", " am", ""])
    const [bos, ...bytes] = tokenizer.encode("🙂")
    expect(bytes.length).toBeGreaterThan(1)
    expect(pieces([bos as number, ...bytes])).toEqual(["", ...bytes.slice(1).map(() => ""), "🙂", ""])
  })

  test("gives what decode gives, for random ids with broken characters and special tokens", () => {
    let seed = 12345
    const random = (n: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      return Math.floor((seed / 2 ** 32) * n)
    }
    let broken = 0
    for (let round = 0; round < 200; round++) {
      const vocabulary = round % 2 === 0 ? 4100 : 256 // the first 256 ids are single bytes
      const ids = Array.from({ length: 40 }, () => (random(20) === 0 ? BOS + random(20) : random(vocabulary)))
      const special = round % 4 < 2
      const text = tokenizer.decode(ids, { special })
      if (text.includes("\uFFFD")) broken++
      expect(pieces(ids, special).join("")).toBe(text)
    }
    expect(broken).toBeGreaterThan(50)
  })

  test("keeps the spaces of decoders that strip the first one, as Llama 2's", () => {
    const vocab = { "<s>": 0, "▁": 1, "▁I": 2, "▁am": 3, "a": 4, "<0xF0>": 5, "<0x9F>": 6, "<0x99>": 7, "<0x82>": 8 }
    const llama2 = Tokenizer.parse(
      JSON.stringify({
        added_tokens: [{ id: 0, content: "<s>", special: true }],
        normalizer: null,
        pre_tokenizer: null,
        post_processor: null,
        decoder: {
          type: "Sequence",
          decoders: [
            { type: "Replace", pattern: { String: "▁" }, content: " " },
            { type: "ByteFallback" },
            { type: "Fuse" },
            { type: "Strip", content: " ", start: 1, stop: 0 },
          ],
        },
        model: { type: "BPE", vocab, merges: [], byte_fallback: true },
      }),
      undefined,
      "tokenizer.json",
    )
    const stream = llama2.stream()
    const ids = [0, 2, 3, 5, 6, 7, 8, 0, 1, 4, 3]
    const given = ids.map((id) => stream.push(id))
    expect(given).toEqual(["", "I", " am", "", "", "", "🙂", "", " ", "a", " am"])
    expect(given.join("") + stream.end()).toBe(llama2.decode(ids))
  })

  test("can be used again after its end", () => {
    const stream = tokenizer.stream()
    const ids = tokenizer.encode("🙂")
    const half = ids.slice(0, 2)
    for (const id of half) stream.push(id)
    expect(stream.end()).toBe(tokenizer.decode(half))
    expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe("🙂")
  })
})

describe("a broken tokenizer is refused", () => {
  const { model, ...rest } = JSON.parse(json) as Record<string, unknown>
  test.each([
    ["no JSON", "{", undefined, /^tokenizer\.json: expected JSON, found broken JSON \(.+\)$/],
    ["an empty file", "", undefined, /^tokenizer\.json: expected JSON, found an empty text$/],
    ["another kind of file", "[1, 2]", undefined, /^tokenizer\.json: expected a Hugging Face tokenizer, found .+$/],
    ["no model", JSON.stringify(rest), undefined, /^tokenizer\.json: expected a Hugging Face tokenizer, found .*"model".*$/],
    [
      "a model without vocabulary",
      JSON.stringify({ ...rest, model: { type: "BPE" } }),
      undefined,
      /^tokenizer\.json: expected a Hug.+$/,
    ],
    [
      "a model of unknown type",
      JSON.stringify({ ...rest, model: { type: "Novel" } }),
      undefined,
      /^tokenizer\.json: expected a Hug.+$/,
    ],
    [
      "a broken tokenizer_config.json",
      JSON.stringify({ ...rest, model }),
      "nonsense",
      /^tokenizer_config\.json: expected JSON, found .+$/,
    ],
  ])("%s", (_, text, config, message) => {
    const parse = (): Tokenizer => Tokenizer.parse(text, config, "tokenizer.json")
    expect(parse).toThrow(InputError)
    expect(parse).toThrow(message)
  })

  test("a post-processor that adds a token which the vocabulary lacks", () => {
    const other = json.replaceAll('"id": "<|begin_of_text|>"', '"id": "<|novel|>"')
    expect(other).not.toBe(json)
    const one = Tokenizer.parse(other, undefined, "tokenizer.json")
    expect(() => one.encode("I")).toThrow("tokenizer.json: expected tokens of its own vocabulary, found <|novel|>")
  })
})
