import { expect, test } from "vitest"
import { type Output, Terminal } from "../../src/cli/terminal.ts"
import { bar, bytes, cut, harmless, oneLine, ranges, table, toJson, wrap } from "../../src/cli/text.ts"

test.each([
  ["a newline", "a\nb\r\nc", "a⏎b⏎c"],
  ["escape sequences", "a\x1b[31mb\u0007", "a·[31mb·"],
  ["marks that turn the line", "a\u202eb\u2066c", "a·b·c"],
  ["all else stays", "é 漢 😀\u200d", "é 漢 😀\u200d"],
])("on one line: %s", (_name, text, expected) => {
  expect(oneLine(text)).toBe(expected)
})

test("harmless text keeps newlines and tabs", () => {
  expect(harmless("a\n\tb\x1b]0;title\u0007")).toBe("a\n\tb·]0;title·")
})

test.each([
  ["abcdef", 6, "abcdef"],
  ["abcdef", 5, "abcd…"],
  ["abcdef", 1, "…"],
  ["abcdef", 0, ""],
  ["漢字漢字", 8, "漢字漢字"],
  ["漢字漢字", 7, "漢字漢…"],
  ["漢字漢字", 6, "漢字…"],
  ["e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"],
  ["😀😀😀", 4, "😀…"],
])("%s in %i columns", (line, columns, expected) => {
  expect(cut(line, columns)).toBe(expected)
})

test.each([
  ["empty", 0, "    │     "],
  ["below the mark", 2, "██  │     "],
  ["an eighth", 2.125, "██▏ │     "],
  ["past the mark", 7.5, "████│██▌  "],
  ["full", 10, "████│█████"],
  ["beyond", 99, "████│█████"],
  ["not finite", NaN, "████│█████"],
  ["below zero", -3, "    │     "],
])("a bar: %s", (_name, value, expected) => {
  expect(bar(value, 10, 10, 4.5)).toBe(expected)
})

test("a mark outside the bar is left away or put at its end", () => {
  expect([bar(1, 4, 4, -1), bar(1, 4, 4, 4)]).toEqual(["█   ", "█  │"])
})

test("columns of a table are as wide as their widest cell", () => {
  const rows = [
    ["n", "text"],
    ["10", "漢"],
    ["5", "b"],
  ]
  expect(table(rows, ["right", "left"])).toEqual([" n  text", "10  漢", " 5  b"])
})

test("JSON has null for what is unknown and for numbers that are not finite", () => {
  expect(toJson({ a: undefined, b: [NaN, undefined], c: 0 })).toBe('{"a":null,"b":[null,null],"c":0}')
})

test("lines break between words alone", () => {
  expect(wrap("one two three extraordinarily", 8)).toEqual(["one two", "three", "extraordinarily"])
})

test.each([
  [[], ""],
  [[3], "3"],
  [[2, 3, 4, 5, 7], "2-5,7"],
  [[0, 2, 4, 5], "0,2,4-5"],
])("%j as ranges", (values, expected) => {
  expect(ranges(values)).toBe(expected)
})

test.each([
  [0, "0.0 kB"],
  [12_345, "12.3 kB"],
  [11_000_000, "11.0 MB"],
  [16_060_522_496, "16.06 GB"],
])("%i bytes", (count, expected) => {
  expect(bytes(count)).toBe(expected)
})

function collect(facts: Partial<Output>): Output & { text: string } {
  const output = { ...facts, text: "", write: (piece: string) => (output.text += piece) }
  return output
}

function run(facts: { tty: boolean; quiet?: boolean; noColor?: string }): { out: string; err: string; width: number } {
  const out = collect({ isTTY: facts.tty, columns: 60 })
  const err = collect({ isTTY: facts.tty })
  const terminal = new Terminal(out, err, { json: false, quiet: facts.quiet ?? false, noColor: facts.noColor })
  terminal.progress("half")
  terminal.note("odd")
  terminal.print(terminal.style("bold", "done"))
  return { out: out.text, err: err.text, width: terminal.width }
}

test.each([
  ["a terminal", { tty: true }, { out: "\x1b[1mdone\x1b[22m\n", err: "\rhalf\x1b[K\r\x1b[Kodd\n", width: 60 }],
  ["a terminal, NO_COLOR", { tty: true, noColor: "1" }, { out: "done\n", err: "\rhalf\x1b[K\r\x1b[Kodd\n", width: 60 }],
  [
    "a terminal, NO_COLOR empty",
    { tty: true, noColor: "" },
    { out: "\x1b[1mdone\x1b[22m\n", err: "\rhalf\x1b[K\r\x1b[Kodd\n", width: 60 },
  ],
  ["a terminal, --quiet", { tty: true, quiet: true }, { out: "\x1b[1mdone\x1b[22m\n", err: "", width: 60 }],
  ["a pipe", { tty: false }, { out: "done\n", err: "odd\n", width: 100 }],
  ["a pipe, --quiet", { tty: false, quiet: true }, { out: "done\n", err: "", width: 100 }],
])("what is printed where: %s", (_name, facts, expected) => {
  expect(run(facts)).toEqual(expected)
})
