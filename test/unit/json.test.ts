import { expect, test } from "vitest"
import * as z from "zod"
import { InputError } from "../../src/engine/errors.ts"
import { checkShape, parseJson, reason, show } from "../../src/engine/json.ts"

test.each([
  [undefined, "nothing"],
  [null, "null"],
  [NaN, "NaN"],
  [-Infinity, "-Infinity"],
  ["a\nb", '"a\\nb"'],
  [{ a: [1] }, '{"a":[1]}'],
  ["x".repeat(100), `"${"x".repeat(59)}…`],
])("%j is shown as %s", (value, text) => {
  expect(show(value)).toBe(text)
})

test("a reason is one line, whatever was thrown", () => {
  expect(reason(new Error("one\n  two"))).toBe("one two")
  expect(reason("text")).toBe("text")
})

test("JSON is parsed, other texts are refused on one line", () => {
  expect(parseJson('{"a": 1}', "f")).toEqual({ a: 1 })
  expect(() => parseJson(" \n", "f")).toThrow("f: expected JSON, found an empty text")
  expect(() => parseJson("{\n\n]", "f")).toThrow(InputError)
  expect(() => parseJson("{\n\n]", "f")).toThrow(/^f: expected JSON, found broken JSON \([^\n]+\)$/)
})

test("a shape names the first field that is wrong", () => {
  const schema = z.object({ list: z.array(z.object({ n: z.number("a number") }), "a list") }, "an object")
  expect(checkShape(schema, { list: [{ n: 1, more: 2 }] }, "f")).toEqual({ list: [{ n: 1 }] })
  expect(() => checkShape(schema, { list: [{ n: 1 }, { n: "x" }] }, "f")).toThrow('f, list.1.n: expected a number, found "x"')
  expect(() => checkShape(schema, {}, "f")).toThrow("f, list: expected a list, found nothing")
  expect(() => checkShape(schema, 3, "f")).toThrow("f: expected an object, found 3")
})
