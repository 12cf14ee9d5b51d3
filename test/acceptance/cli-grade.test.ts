import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { hashModel } from "../../src/node.ts"
import type { EndpointKind } from "../../src/node/grader-endpoint.ts"
import { openRun } from "../../src/node/run-folder.ts"
import type { Grade } from "../../src/steering/grades.ts"
import type { RecordedPoint } from "../../src/steering/record.ts"
import { CommandLine, type Done, finish } from "../helpers/cli.ts"
import { tinyTalkFolder } from "../helpers/fixtures.ts"
import { type Asked, failure, graderServer, type GraderServer, type Reaction } from "../helpers/grader-server.ts"
import { foundRun, identity } from "../helpers/runs.ts"

const KEY = "sk-very-secret-0123456789"
const KEYS = { ANTHROPIC_API_KEY: KEY, OPENAI_API_KEY: KEY }
const found = foundRun()
let cli: CommandLine

beforeAll(async () => {
  cli = new CommandLine()
  const vector = { createdFrom: "64 pairs of bridge.jsonl" }
  const model = { name: "tiny-talk", sha256: await hashModel(tinyTalkFolder) }
  await makeRun("run", { vector })
  await makeRun("own", { model, vector })
  {
    using _ = await openRun(cli.at("begun"), { ...identity, model, vector })
  }
  writeFileSync(cli.at("labels.json"), '{"bridge": {"0": [1, 1], "0.5": 1, "1": [true, false], "1.5": 0, "2": 0}}')
})
afterAll(() => cli.remove())

/** A run of five coefficients and two prompts, whose texts are «text 0 at 0.5» and the like. */
async function makeRun(name: string, changes: Partial<typeof identity>): Promise<void> {
  const curve = found.curve.map((point): RecordedPoint => {
    const completions = point.completions.map((one, i) => ({
      ...one,
      text: `text ${i} at ${point.coefficient}`,
      pieces: undefined,
    }))
    return { ...point, completions }
  })
  using run = await openRun(cli.at(name), { ...identity, ...changes })
  run.append(curve)
  await run.finish(found)
}

/** A copy of the run to grade, and the arguments that grade it by the server. */
function gradeBy(kind: EndpointKind, server: GraderServer, folder: string): string[] {
  cpSync(cli.at("run"), cli.at(folder), { recursive: true })
  return ["grade", folder, "--grader", kind, "--grader-model", "judge", "--base-url", server.url]
}

/** The better the less it is steered: 2 up to a coefficient of 0.5, 1 up to 1, then 0; the concept the other way round. */
function judge({ text }: Asked): string {
  const coefficient = Number(/at ([\d.]+)/.exec(text)?.[1])
  const rating = coefficient <= 0.5 ? 2 : coefficient <= 1 ? 1 : 0
  return `So it is.\nRating: [[${text.includes("[The concept]") ? Math.min(2, Math.ceil(coefficient)) : rating}]]`
}

const gradesIn = (folder: string): Grade[] =>
  readFileSync(join(cli.at(folder), "grades.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Grade)
/** Neither on the terminal nor in any file of the scratch folder. */
function expectKeyNowhere({ stdout, errors, notes }: Done): void {
  expect([stdout, ...errors, ...notes].join("\n")).not.toContain(KEY)
  for (const file of readdirSync(cli.scratch, { recursive: true, withFileTypes: true })) {
    if (file.isFile()) expect(readFileSync(join(file.parentPath, file.name)).includes(KEY)).toBe(false)
  }
}

describe.each<EndpointKind>(["anthropic", "openai"])("by %s", (kind) => {
  test("every text is graded, the grades stand in the report, and a busy endpoint is waited for", async () => {
    const busy = failure(429, "slow down", { "retry-after": "1" })
    await using server = await graderServer(kind, (asked, n) => (n === 0 ? busy : judge(asked)))
    const args = gradeBy(kind, server, `${kind}-whole`)
    const done = await cli.runWith(KEYS, ...args, "--json", "--debug", "--labels", "labels.json", "--concurrency", "4")
    expect({ code: done.code, errors: done.errors }).toEqual({
      code: 0,
      errors: [
        expect.stringMatching(
          /^30 questions about 10 texts, 30 of them different: 0 answered before, 30 calls of about [\d,]+ tokens in and about 2,400 out$/,
        ),
      ],
    })
    const document = JSON.parse(done.stdout) as { curve: Record<string, number>[]; [key: string]: unknown }
    expect(document).toMatchObject({
      grader: kind,
      model: "judge",
      source: server.url,
      concept: "bridge",
      unrated: 0,
      redline: 1,
    })
    const at = (coefficient: number, concept: number, other: number, overall: number): unknown => {
      return { coefficient, concept, prompt: other, fluency: other, overall: expect.closeTo(overall, 12), texts: 2 }
    }
    expect(document.curve).toEqual([at(0, 0, 2, 0), at(0.5, 1, 2, 1.5), at(1, 1, 1, 1), at(1.5, 2, 0, 0), at(2, 2, 0, 0)])
    expect(document["best"]).toMatchObject({ coefficient: 0.5 })
    expect(document["agreement"]).toEqual([
      {
        aspect: "fluency",
        truth: "labels",
        atLeast: 1,
        items: 7,
        positive: 4 / 7,
        agree: 6 / 7,
        kappa: expect.closeTo(16 / 23, 12),
        auc: expect.closeTo(11.5 / 12, 12),
      },
      {
        aspect: "fluency",
        truth: "labels",
        atLeast: 2,
        items: 7,
        positive: 4 / 7,
        agree: 6 / 7,
        kappa: expect.closeTo(18 / 25, 12),
        auc: expect.closeTo(11.5 / 12, 12),
      },
    ])
    expect(gradesIn(`${kind}-whole`)).toHaveLength(30)
    const html = readFileSync(cli.at(`${kind}-whole/report.html`), "utf8")
    expect(html).toContain("<h2>Grades</h2>")
    expect(html).toContain("Best overall: 1.5 at 0.5.")
    expect(readdirSync(cli.at(`${kind}-whole`))).toEqual(expect.arrayContaining(["grades.jsonl", "grades.png", "grades.svg"]))
    expectKeyNowhere(done)
    expect(done.notes).toEqual([expect.stringMatching(/^note: 127\.0\.0\.1:\d+ answers 429: waiting 1 s$/)])
    expect(server.asked).toHaveLength(31)
    expect(server.together).toBeLessThanOrEqual(4)
  })
})

test("a key that is refused midway stops it with one line; what was graded stands, and it goes on from there", async () => {
  let refuses = true
  const react = (asked: Asked, n: number): Reaction => {
    if (refuses) return n < 5 ? judge(asked) : failure(401, `unknown key ${asked.key}`)
    return asked.text.includes("text 1 at 2\n") && asked.text.includes("[The concept]") ? "Hm." : judge(asked)
  }
  await using server = await graderServer("anthropic", react)
  const args = [...gradeBy("anthropic", server, "refused"), "--concurrency", "1"]
  const done = await cli.runWith(KEYS, ...args, "--quiet", "--debug")
  expect(done).toMatchObject({ code: 2, stdout: "" })
  const message = /^redline: ANTHROPIC_API_KEY: expected a key that 127.* takes, found a refusal \(401.*\[key\]/
  expect(done.errors[0]).toMatch(message)
  expect(done.errors.filter((line) => !/^(InputError: .*| +at .*)$/.test(line))).toHaveLength(1)
  expectKeyNowhere(done)
  expect(server.asked).toHaveLength(6)
  expect(gradesIn("refused")).toHaveLength(5)

  refuses = false
  const rest = await cli.runWith(KEYS, ...args)
  expect({ code: rest.code, notes: rest.notes }).toEqual({
    code: 0,
    notes: ["note: 1 answer without a rating; run it again to ask for them anew"],
  })
  expect(rest.stdout).toMatch(/0\.5 +1\.00 +2\.00 +2\.00 +1\.50 .*◀ best/)
  expect(rest.stdout).toMatch(/The best grade overall is 1\.50 of 2, at 0\.5\. The redline is 1, graded 1\.00\./)
  // Of the 25 that were left one was asked three times.
  expect(server.asked).toHaveLength(6 + 27)
  expect(gradesIn("refused")).toHaveLength(29)
})

test("a second time nothing is asked", async () => {
  await using server = await graderServer("openai", judge)
  const args = [...gradeBy("openai", server, "twice"), "--coefficients", "0,1"]
  const first = await cli.runWith(KEYS, ...args, "--json")
  const before = readFileSync(cli.at("twice/grades.jsonl"), "utf8")
  const second = await cli.runWith(KEYS, ...args, "--json")
  expect(server.asked).toHaveLength(12)
  expect(second.errors).toEqual([expect.stringMatching(/^12 questions .* 12 answered before, nothing is asked$/)])
  const of = ({ stdout }: Done): unknown => ({ ...(JSON.parse(stdout) as object), estimate: undefined })
  expect(of(second)).toEqual(of(first))
  expect(readFileSync(cli.at("twice/grades.jsonl"), "utf8")).toBe(before)
})

test("a grader that never rates fails", async () => {
  await using server = await graderServer("openai", () => "Hm.")
  const args = gradeBy("openai", server, "silent")
  const { code, stdout, errors } = await cli.runWith(KEYS, ...args, "--coefficients", "1", "--quiet")
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
  expect(errors).toEqual([expect.stringMatching(/^redline: judge: no text has all three ratings/)])
})

test("Ctrl-C keeps what was graded; a dry run says what is left, asks nothing and needs no key", async () => {
  await using server = await graderServer("openai", (asked, n) => (n >= 7 ? new Promise(() => {}) : judge(asked)))
  const args = gradeBy("openai", server, "stopped")
  const fresh = await cli.run(...args, "--dry-run")
  expect(fresh).toMatchObject({
    code: 0,
    errors: [],
    stdout: expect.stringMatching(/^30 questions about 10 texts, .*: 0 answered/),
  })
  expect(readdirSync(cli.at("stopped"))).not.toContain("grades.jsonl")

  const child = cli.startWith(KEYS, ...args, "--concurrency", "1")
  const ended = finish(child)
  while (server.asked.length < 8) await new Promise((resolve) => setTimeout(resolve, 20))
  child.kill("SIGINT")
  expect(await ended).toMatchObject({ code: 130, stdout: "" })
  expect(gradesIn("stopped")).toHaveLength(7)
  const left = { questions: 30, distinct: 30, known: 7, calls: 23, inputTokens: expect.any(Number), outputTokens: 23 * 80 }
  expect(await cli.json(...args, "--dry-run")).toEqual(left)
  expect(server.asked).toHaveLength(8)
})

test("the model that wrote the run grades it without a network, beside the grammar", async () => {
  const args = ["grade", "own", "--coefficients", "0", "--json", "--quiet"]
  const document = await cli.json(...args)
  const curve = [{ coefficient: 0, texts: 2 }]
  expect(document).toMatchObject({ grader: "local", model: "tiny-talk", concept: "bridge", unrated: 0, curve })
  const grades = gradesIn("own")
  expect(grades).toHaveLength(6)
  for (const { rating, probabilities = [] } of grades) {
    expect(probabilities).toHaveLength(3)
    expect(probabilities.reduce((sum, p, value) => sum + p * value, 0)).toBeCloseTo(rating, 12)
  }
  const agreement = document["agreement"] as { aspect: string; items: number }[]
  expect(agreement.map(({ aspect, items }) => `${aspect} ${items}`)).toEqual(["fluency 2", "fluency 2", "concept 2", "concept 2"])
  // All is known by now: the model is not even loaded.
  const second = await cli.run(...args, "--adapter", "no adapter has this name")
  expect(second).toMatchObject({ code: 0, errors: [] })
})

test.each<[string, string[], string]>([
  ["no run", ["grade", "nowhere"], "nowhere: expected a folder, found no such file or folder"],
  [
    "no key",
    ["grade", "run", "--grader", "openai", "--grader-model", "judge"],
    "OPENAI_API_KEY: expected a key in this environment variable, found none; set it",
  ],
  [
    "a run without a curve",
    ["grade", "begun", "--dry-run"],
    "begun: expected a run with texts, found no coefficient that is done",
  ],
])("%s is bad input", async (_, args, message) => {
  await cli.expectBadInput(args, message)
})
