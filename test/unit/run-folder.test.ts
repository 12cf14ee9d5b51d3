import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { openRun, readRun } from "../../src/node/run-folder.ts"
import { recorded } from "../../src/steering/record.ts"
import { foundRun, identity } from "../helpers/runs.ts"

const scratch = mkdtempSync(join(tmpdir(), "redline-run-"))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const found = foundRun()
const read = (folder: string, file: string): string => readFileSync(join(scratch, folder, file), "utf8")

async function whole(folder: string): Promise<void> {
  using run = await openRun(join(scratch, folder), identity)
  run.append(found.curve.slice(0, 2))
  run.append(found.curve.slice(2))
  await run.finish(found, { total: 1 })
}

test("an interrupted run resumes from its last whole batch and gives the same bytes", async () => {
  await whole("whole")
  const folder = join(scratch, "torn")
  {
    using run = await openRun(folder, identity)
    run.append(found.curve.slice(0, 2))
  }
  // Of the next batch one whole line and half of another were written when the process was killed.
  const rest = read("whole", "curve.jsonl").slice(read("torn", "curve.jsonl").length)
  appendFileSync(join(folder, "curve.jsonl"), Buffer.from(rest.slice(0, rest.indexOf("\n") + 30)))
  using run = await openRun(folder, identity)
  expect([run.known.length, run.dropped]).toEqual([2, 2])
  const evaluate = recorded(
    async (coefficients) => found.curve.filter(({ coefficient }) => coefficients.includes(coefficient)),
    run,
  )
  const all = found.curve.map(({ coefficient }) => coefficient)
  expect((await evaluate(all, { onPoints: () => {} })).map(({ coefficient }) => coefficient)).toEqual(all)
  await run.finish(found, { total: 2 })
  for (const file of ["run.json", "curve.jsonl"]) expect(read("torn", file)).toBe(read("whole", file))
})

test("a run is read back as it was found", async () => {
  const run = await readRun(join(scratch, "whole"))
  expect(run.curve).toEqual(found.curve)
  expect(run.result).toMatchObject({ max: found.max, crossing: found.crossing })
})

test("another run in the folder is refused, and nothing is touched", async () => {
  const before = read("whole", "curve.jsonl")
  const other = { ...identity, settings: { ...identity.settings, tokens: 16 } }
  await expect(openRun(join(scratch, "whole"), other)).rejects.toThrow("run.json, settings.tokens")
  expect(read("whole", "curve.jsonl")).toBe(before)
})

test("a folder without a run is refused", async () => {
  await expect(readRun(scratch)).rejects.toThrow("run.json")
})
