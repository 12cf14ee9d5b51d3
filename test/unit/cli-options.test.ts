import { expect, test } from "vitest"
import { likely, nearest } from "../../src/engine/nearest.ts"
import { count, didYouMean, type OptionTable, parseIds, parseLayers, parseOptions, positive } from "../../src/cli/options.ts"

const table: OptionTable = {
  prompt: { value: "TEXT", help: "" },
  pairs: { value: "FILE", help: "" },
  coefficient: { value: "NUMBER", help: "" },
  tokens: { value: "N", help: "" },
  json: { help: "" },
  help: { help: "" },
}
const parse = (...args: string[]) => parseOptions(args, table, "find")

test("the last of a repeated option counts, all are kept", () => {
  const options = parse("--prompt", "a", "--json", "--prompt=b")
  expect(options.text("prompt")).toBe("b")
  expect(options.all("prompt")).toEqual(["a", "b"])
  expect([options.has("json"), options.has("help"), options.text("tokens")]).toEqual([true, false, undefined])
})

test("an option that the command does not declare is the program's mistake", () => {
  expect(() => parse().text("typo")).toThrow(TypeError)
})

test.each([
  ["a negative number", ["--coefficient", "-0.5"], -0.5],
  ["a negative fraction", ["--coefficient", "-.5"], -0.5],
  ["after an equals sign", ["--coefficient=-2"], -2],
  ["in powers of ten", ["--coefficient", "1e-3"], 0.001],
  ["not given", [], undefined],
])("a number: %s", (_name, args, expected) => {
  expect(parse(...args).number("coefficient")).toBe(expected)
})

test.each([
  ["letters", "x", positive, "--tokens: expected a number above 0, found «x»"],
  ["nothing", "", positive, "--tokens: expected a number above 0, found «»"],
  ["zero", "0", positive, "--tokens: expected a number above 0, found «0»"],
  ["infinity", "Infinity", positive, "--tokens: expected a number above 0, found «Infinity»"],
  ["a fraction", "1.5", count, "--tokens: expected a whole number of at least 1, found «1.5»"],
])("no such number: %s", (_name, text, kind, message) => {
  expect(() => parse(`--tokens=${text}`).number("tokens", kind)).toThrow(message)
})

test.each([
  [["--promt", "x"], "find: expected an option that it takes, found --promt; did you mean --prompt?"],
  [["--tok", "3"], "found --tok; did you mean --tokens?"],
  [["--dry"], "find: expected an option that it takes, found --dry; «redline find --help» lists all"],
  [["--constructor"], "find: expected an option that it takes, found --constructor"],
  [["-x"], "find: expected an option that it takes, found -x"],
  [["--prompt"], "--prompt: expected a value TEXT, found nothing"],
  [["--prompt", "--json"], "--prompt: expected a value TEXT, found the option --json; write --prompt=--json"],
  [["--json=yes"], "--json: expected no value, it is a switch, found «yes»"],
  [["stray"], "find: expected options alone, found «stray»"],
  [["--", "stray"], "find: expected options alone, found «stray»"],
])("%j is refused", (args, message) => {
  expect(() => parse(...args)).toThrow(message)
})

const files = { value: "FILE …", help: "some files", least: 1, most: 2 }
const parseFiles = (...args: string[]) => parseOptions(args, table, "vector show", files)

test("operands keep their order, options may stand between them", () => {
  expect(parseFiles("b.gguf:-1", "--json", "a").operands).toEqual(["b.gguf:-1", "a"])
  expect(parseFiles("--prompt", "x", "--", "-a").operands).toEqual(["-a"])
  expect(parseFiles("a").withDefaults({ pairs: "c" }).operands).toEqual(["a"])
})

test.each([
  [["--json"], "vector show: expected FILE …, some files, found none; «redline vector show --help» says more"],
  [["a", "b", "c"], "vector show: expected FILE …, some files, found «c» too"],
])("the operands %j are too few or too many", (args, message) => {
  expect(() => parseFiles(...args)).toThrow(message)
})

test("of options that exclude each other one may be given", () => {
  const groups = [["prompt", "tokens"], ["pairs"]]
  expect(parse("--prompt", "a", "--tokens", "1").oneOf(...groups)).toEqual(["prompt", "tokens"])
  expect(parse().oneOf(...groups)).toBeUndefined()
  const both = parse("--pairs", "a", "--tokens", "1")
  expect(() => both.oneOf(...groups)).toThrow("--tokens: expected it alone, found --pairs too")
})

test("defaults stand behind what was given", () => {
  const options = parse("--prompt", "a").withDefaults({ prompt: "b", pairs: "c" })
  expect([options.text("prompt"), options.text("pairs")]).toEqual(["a", "c"])
})

test.each([
  ["2-5,7", [2, 3, 4, 5, 7]],
  ["7, 2 - 3", [2, 3, 7]],
  ["3,3,2-3", [2, 3]],
  ["0", [0]],
])("layers %s", (text, layers) => {
  expect(parseLayers(text)).toEqual(layers)
})

test.each(["", "a", "5-2", "-1", "1-", "1,,2", "1.5", "0-99999"])("«%s» is no list of layers", (text) => {
  expect(() => parseLayers(text)).toThrow(`--layers: expected layers such as 2-5,7 (from 0), found «${text}»`)
})

test("ids are taken in their order", () => {
  expect(parseIds("3, 1,2,1")).toEqual([3, 1, 2, 1])
})

test.each(["", "1,", "-1", "1.5", "one", "1 2"])("«%s» is no list of ids", (text) => {
  expect(() => parseIds(text)).toThrow(`--ids: expected token ids such as 1,2,3, found «${text}»`)
})

test.each([
  ["fnd", "find"],
  ["trian", "train"],
  ["scores", "score"],
  ["inf", "info"],
])("the nearest to %s is %s", (wanted, expected) => {
  expect(nearest(wanted, ["find", "generate", "score", "trace", "train", "info"])).toEqual([expected])
})

test.each([
  ["fnd", "find"],
  ["gen", "generate"],
  ["training", "train"],
  ["ad", "add"],
  ["chat", undefined],
  ["foo", undefined],
  ["sideways", undefined],
  ["ge", undefined],
  ["", undefined],
])("%s may be a slip for %s", (wanted, expected) => {
  const names = ["find", "generate", "train", "sae", "add", "all", "nll", "local"]
  expect(likely(wanted, names)).toBe(expected)
  expect(didYouMean(wanted, names)).toEqual(expected === undefined ? {} : { todo: `did you mean ${expected}?` })
})
