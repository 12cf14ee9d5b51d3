import { spawn } from "node:child_process"
import { closeSync, cpSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { CommandLine, finish } from "../helpers/cli.ts"
import { writePairs } from "../helpers/cli-files.ts"

let cli: CommandLine
beforeAll(() => {
  cli = new CommandLine()
  writePairs(cli, "bridge", 16)
})
afterAll(() => cli.remove())

const SEARCH = [
  "find",
  "--pairs",
  "bridge.jsonl",
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

/** The lines of its curve, and how many are of its first batch. */
function linesOf(run: ReadonlyMap<string, string>): [lines: string[], firstBatch: number] {
  const lines = (run.get("curve.jsonl") as string).split("\n")
  return [lines, lines.findIndex((line) => line.includes('"left":0')) + 1]
}

test("a resumed run gives the same files byte for byte, and repeats nothing", async () => {
  await cli.json(...SEARCH, "--out", "whole/run")
  const whole = filesOf("whole/run")
  expect([...whole.keys()]).toContain("report.html")

  // As a kill in the midst of the second batch leaves it: the first batch whole, then a torn line.
  cpSync(cli.at("whole"), cli.at("torn"), { recursive: true })
  const [lines, firstBatch] = linesOf(whole)
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

/** Bytes of a disk, the file that has no room on it, and the files that are there as in the end. */
type Stage = readonly [bytes: number, inTheWay: string, finished: readonly string[]]

/** Disks on which a search, which has been on those before, stops while its second batch is kept, and at each file after. */
function stagesOf(whole: ReadonlyMap<string, string>): Stage[] {
  const size = (name: string): number => whole.get(name)?.length ?? 0
  const [record, curve, vector] = [size("run.json"), size("curve.jsonl"), size("vector.safetensors")]
  const all = record + curve + vector
  // What is there is written anew beside itself.
  const anew = Math.max(record, vector) + 500
  const [lines, firstBatch] = linesOf(whole)
  const intoSecond = lines.slice(0, firstBatch + 1).join("\n").length + 100
  expect(intoSecond).toBeLessThan(curve)
  return [
    [100, "run.json", []],
    [record + intoSecond, "curve.jsonl", []],
    [record + curve + 100, "vector.safetensors", ["curve.jsonl"]],
    [all + 100, "run.json", ["curve.jsonl", "vector.safetensors"]],
    [all + anew, "report.html", ["curve.jsonl", "run.json", "vector.safetensors"]],
    [all + size("report.html") + anew, "curve.svg", ["curve.jsonl", "report.html", "run.json", "vector.safetensors"]],
  ]
}

test("a full disk is said in a line and leaves nothing half-written; with more room the run goes on to the same files", async () => {
  const search = ["find", "--vector", "whole/run/vector.safetensors", ...SEARCH.slice(3), "--out"]
  await cli.json(...search, "ample/run")
  const whole = filesOf("ample/run")
  mkdirSync(cli.at("small"))
  for (const [bytes, inTheWay, finished] of stagesOf(whole)) {
    const { code, errors, notes } = await cli.runOnDisk("small", bytes, ...search, "small/run")
    const message = `redline: small/run/${inTheWay}: expected .*, found a full disk; make room and run it again`
    expect({ code, errors }).toEqual({ code: 2, errors: [expect.stringMatching(new RegExp(`^${message}$`))] })
    expect(notes.filter((note) => note.includes("damaged"))).toEqual([])
    const left = [...filesOf("small/run")].filter(([, text]) => text !== "")
    expect(left.filter(([name, text]) => text === whole.get(name)).map(([name]) => name)).toEqual(finished)
    const others = left.map(([name]) => name).filter((name) => !finished.includes(name))
    expect(["run.json", "curve.jsonl"]).toEqual(expect.arrayContaining(others))
  }
  const { code, notes } = await cli.run(...search, "small/run")
  expect({ code, notes }).toEqual({ code: 0, notes: [expect.stringMatching(/\d+ coefficients known from an earlier run/)] })
  expect(filesOf("small/run")).toEqual(whole)
})

test("a full disk under a redirected result is said in a line", async () => {
  const full = openSync("/dev/full", "w")
  const child = spawn(process.execPath, [join(CommandLine.root, "dist/cli.js"), "--help"], { stdio: ["ignore", full, "pipe"] })
  const { code, errors } = await finish(child)
  closeSync(full)
  const message = "redline: standard output: expected room to write, found a full disk; make room and run it again"
  expect({ code, errors }).toEqual({ code: 2, errors: [message] })
})

test("report draws one run anew and compares several", async () => {
  const { files } = await cli.json("report", "whole/run")
  expect(files).toContain("whole/run/report.html")
  const compared = await cli.json("report", "whole/run", "torn/run", "--out", "compared")
  expect(compared["files"]).toContain("compared/comparison.html")
  expect(readFileSync(cli.at("compared/comparison.html"), "utf8")).toContain("run")
  await cli.expectBadInput(["report", "nowhere"], "nowhere: expected a folder")
  cpSync(cli.at("whole"), cli.at("stopped"), { recursive: true })
  writeFileSync(cli.at("stopped/run/curve.jsonl"), "")
  await cli.expectBadInput(
    ["report", "stopped/run"],
    "stopped/run/curve.jsonl: expected at least one coefficient, found none; run",
  )
  await cli.expectBadInput(["report", "whole/run", "torn/run"], ".*--out")
})
