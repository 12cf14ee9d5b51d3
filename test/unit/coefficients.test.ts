import { describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { checkCoefficients, parseCoefficients } from "../../src/steering/coefficients.ts"

test.each<[string, "auto" | number[]]>([
  ["auto", "auto"],
  [" auto ", "auto"],
  ["0,1,2.5", [0, 1, 2.5]],
  [" 0.5 , 1 ", [0.5, 1]],
  ["3", [3]],
  ["-2,-.5,+1e1", [-2, -0.5, 10]],
  ["0:1:0.25", [0, 0.25, 0.5, 0.75, 1]],
  ["-1:1:0.5", [-1, -0.5, 0, 0.5, 1]],
  ["0:0.3:0.1", [0, 0.1, 0.2, 0.3]],
  ["0:1:0.3", [0, 0.3, 0.6, 0.9]],
  ["0.05:0.25:0.1", [0.05, 0.15, 0.25]],
  ["0:3e-3:1e-3", [0, 0.001, 0.002, 0.003]],
  ["10:30:1e1", [10, 20, 30]],
  ["2:2:1", [2]],
])("%j gives %j", (text, expected) => {
  expect(parseCoefficients(text)).toEqual(expected)
})

test("a long range keeps clean decimals, its end and a plain zero", () => {
  const values = parseCoefficients("-2:8:0.01") as number[]
  expect(values).toHaveLength(1001)
  expect(values.map(String)).toEqual(Array.from({ length: 1001 }, (_, i) => String((i - 200) / 100)))
  expect(Object.is((parseCoefficients("-0.0,1") as number[])[0], 0)).toBe(true)
  expect(Object.is((parseCoefficients("-1:1:0.1") as number[])[10], 0)).toBe(true)
})

test("4096 coefficients are allowed", () => {
  expect(parseCoefficients("1:4096:1")).toHaveLength(4096)
})

describe("refused", () => {
  test.each([
    ["", "nothing"],
    ["  ", "nothing"],
    ["abc", '"abc"'],
    ["1,,2", '""'],
    ["1,two", '"two"'],
    ["0x10", '"0x10"'],
    ["Infinity", '"Infinity"'],
    ["NaN", '"NaN"'],
    ["1e39", "1e+39"],
    ["1e999", "Infinity"],
    ["2,1", "1 after 2"],
    ["1,1", "1 after 1"],
    ["0:8", '"0:8"'],
    ["0:8:1:1", '"0:8:1:1"'],
    ["0:x:1", '"x"'],
    ["::", '""'],
    ["0:8:0", "found 0"],
    ["0:8:-1", "found -1"],
    ["8:0:1", "8:0"],
    ["1:4097:1", "found 4097"],
    ["1:4097:1e-300", "1 to 4096 numbers"],
    ["1:2:1e-999", "a step above 0"],
  ])("%j: %s", (text, found) => {
    const parse = (): unknown => parseCoefficients(text, "--coefficients")
    expect(parse).toThrow(InputError)
    expect(parse).toThrow(/^--coefficients: expected /)
    expect(parse).toThrow(found)
  })

  test("a list from a program is checked the same way", () => {
    expect(() => checkCoefficients([])).toThrow("found 0")
    expect(() => checkCoefficients([0, NaN])).toThrow("found NaN")
    expect(() => checkCoefficients([0, 2, 1])).toThrow("1 after 2")
    expect(() => checkCoefficients([-1, 0, 1])).not.toThrow()
  })
})
