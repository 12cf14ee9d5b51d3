import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { CommandLine } from "../helpers/cli.ts"

let cli: CommandLine
beforeAll(() => {
  cli = new CommandLine()
})
afterAll(() => cli.remove())

const PAIRS = join(CommandLine.root, "models/tiny-talk/pairs/bridge.jsonl")
const SEARCH = [
  "find",
  "--pairs",
  PAIRS,
  "--layers",
  "3-4",
  "--prompt",
  "These days, I",
  "--tokens",
  "8",
  "--coefficients",
  "auto",
]

/** Every file of a run but the times. */
function filesOf(folder: string): Map<string, string> {
  const names = readdirSync(cli.at(folder)).filter((name) => name !== "seconds.json")
  return new Map(names.toSorted().map((name) => [name, readFileSync(join(cli.at(folder), name)).toString("latin1")]))
}

test("a resumed run gives the same files byte for byte, and repeats nothing", async () => {
  await cli.json(...SEARCH, "--out", "whole/run")
  const whole = filesOf("whole/run")
  expect([...whole.keys()]).toContain("report.html")

  // As a kill in the midst of the second batch leaves it: the first batch whole, then a torn line.
  cpSync(cli.at("whole"), cli.at("torn"), { recursive: true })
  const lines = (whole.get("curve.jsonl") as string).split("\n")
  const firstBatch = lines.findIndex((line) => line.includes('"left":0')) + 1
  expect(firstBatch).toBeLessThan(lines.length - 2)
  const kept = `${lines.slice(0, firstBatch).join("\n")}\n${(lines[firstBatch] as string).slice(0, 100)}`
  writeFileSync(cli.at("torn/run/curve.jsonl"), Buffer.from(kept, "latin1"))
  const { code, notes } = await cli.run(...SEARCH, "--out", "torn/run")
  expect(code).toBe(0)
  expect(notes).toEqual([
    expect.stringMatching(/1 damaged line at its end dropped/),
    expect.stringMatching(new RegExp(`${firstBatch} coefficients known from an earlier run`)),
  ])
  expect(filesOf("torn/run")).toEqual(whole)
})

test("another search is refused in the same folder, naming the first difference, and leaves it as it was", async () => {
  const before = filesOf("whole/run")
  const { code, errors } = await cli.run(...SEARCH, "--tokens", "9", "--out", "whole/run")
  expect({ code, errors }).toEqual({
    code: 2,
    errors: [expect.stringMatching(/run\.json, settings\.tokens: expected 9, as in this run, found 8/)],
  })
  expect(filesOf("whole/run")).toEqual(before)
})

test("report draws one run anew and compares several", async () => {
  const { files } = await cli.json("report", "whole/run")
  expect(files).toContain("whole/run/report.html")
  const compared = await cli.json("report", "whole/run", "torn/run", "--out", "compared")
  expect(compared["files"]).toContain("compared/comparison.html")
  expect(readFileSync(cli.at("compared/comparison.html"), "utf8")).toContain("run")
  await cli.expectBadInput(["report", "nowhere"], "nowhere: expected a folder")
  await cli.expectBadInput(["report", "whole/run", "torn/run"], ".*--out")
})
