import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest"
import { commonOptions } from "../../src/cli/command.ts"
import { grade } from "../../src/cli/grade.ts"
import { type GradeRequest, readGradeRequest } from "../../src/cli/grade-request.ts"
import { parseOptions } from "../../src/cli/options.ts"
import { InputError } from "../../src/engine/errors.ts"
import { embeddedInstructModel, embeddedModel, hashModel } from "../../src/node.ts"
import { openRun } from "../../src/node/run-folder.ts"
import type { RunIdentity } from "../../src/steering/record.ts"
import { foundRun, identity } from "../helpers/runs.ts"

const scratch = mkdtempSync(join(tmpdir(), "redline-grade-"))
const at = (name: string): string => join(scratch, name)
const vector = { createdFrom: "64 pairs of bridge.jsonl" }
const OPENAI = ["--grader", "openai", "--grader-model", "judge"]

beforeAll(async () => {
  const model = { name: "tiny-talk", sha256: await hashModel(embeddedModel) }
  await makeRun("bare", {})
  await makeRun("run", { vector })
  await makeRun("own", { model, vector })
  await makeRun("foreign", { model: { ...model, sha256: "00" }, vector })
  writeFileSync(at("rubric.md"), "## concept\n\nIs {concept} there?\n")
  writeFileSync(at("labels.json"), '{"pirate": {"0": 1}, "bridge": {"0": [1, 1], "0.5": 1}}')
  writeFileSync(at("few.json"), '{"bridge": {"0": [1]}}')
  writeFileSync(at("others.json"), '{"pirate": {"0": 1}}')
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
beforeEach(() => {
  for (const name of ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_BASE_URL"]) vi.stubEnv(name, undefined)
})
afterEach(() => {
  vi.unstubAllEnvs()
})

async function makeRun(name: string, changes: Partial<RunIdentity>): Promise<void> {
  using run = await openRun(at(name), { ...identity, ...changes })
  run.append(foundRun().curve)
  await run.finish(foundRun())
}

function request(name: string, ...args: readonly string[]): Promise<GradeRequest> {
  const files = args.map((arg) => (/\.(md|json)$/.test(arg) ? at(arg) : arg))
  return readGradeRequest(parseOptions([at(name), ...files], { ...grade.options, ...commonOptions }, "grade", grade.operands))
}

test.each<[string, string, string[], string]>([
  [
    "an unknown grader",
    "run",
    ["--grader", "antropic"],
    "--grader: expected one of local, anthropic, openai, found «antropic»; did you mean anthropic?",
  ],
  ["no grader at all", "run", ["--grader", "foo"], "--grader: expected one of local, anthropic, openai, found «foo»"],
  ["no grader's model", "run", ["--grader", "openai"], "--grader-model: expected a value, found nothing; name the model"],
  [
    "no key",
    "run",
    OPENAI,
    "OPENAI_API_KEY: expected a key in this environment variable, found none; set it; where api.openai.com asks for no key, to any word",
  ],
  ["no other key", "run", ["--grader", "anthropic", "--grader-model", "x"], "ANTHROPIC_API_KEY: expected a key"],
  [
    "no concept",
    "bare",
    OPENAI,
    'bare: expected to know what the vector steers to, found nothing that tells; say it with --concept "…"',
  ],
  ["a blank concept", "run", [...OPENAI, "--concept", " "], "run: expected to know what the vector steers to"],
  [
    "a broken rubric",
    "run",
    [...OPENAI, "--rubric", "rubric.md"],
    "rubric.md, concept: expected a question with «{text}», found one without",
  ],
  ["no rubric", "run", [...OPENAI, "--rubric", "none.md"], "none.md: expected a readable file, found no such file or folder"],
  ["auto", "run", [...OPENAI, "--coefficients", "auto"], "--coefficients: expected coefficients of the run, found auto"],
  [
    "an address that is none",
    "run",
    [...OPENAI, "--base-url", "nonsense"],
    "--base-url: expected an address such as http://localhost:8080/v1, found «nonsense»",
  ],
  [
    "an address that may hold a password",
    "run",
    [...OPENAI, "--base-url", "me:word@host"],
    "--base-url: expected an address such as http://localhost:8080/v1, found another text",
  ],
  [
    "no number",
    "run",
    [...OPENAI, "--dry-run", "--concurrency", "0"],
    "--concurrency: expected a whole number of at least 1, found «0»",
  ],
  [
    "an option of others",
    "run",
    ["--per-minute", "5"],
    "--per-minute: expected --grader anthropic or openai beside it, found the local grader",
  ],
  [
    "a model that is not at hand",
    "run",
    [],
    "run: expected the model tiny <model>, which wrote its texts, found its folder is not recorded; name a model",
  ],
  [
    "a model with other files",
    "foreign",
    [],
    "foreign: expected the model tiny-talk, which wrote its texts, found the one of that name",
  ],
  [
    "labels of other topics",
    "run",
    [...OPENAI, "--dry-run", "--labels", "others.json"],
    "others.json: expected labels for the topic run or bridge, found pirate",
  ],
  [
    "labels for fewer prompts",
    "run",
    [...OPENAI, "--dry-run", "--labels", "few.json"],
    "few.json, bridge.0: expected 2 labels, one for each prompt, found 1",
  ],
])("%s is bad input", async (_, name, args, message) => {
  const error: unknown = await request(name, ...args).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(InputError)
  expect((error as Error).message).toContain(message)
})

test("an address of the environment is blamed by its variable", async () => {
  vi.stubEnv("OPENAI_BASE_URL", "nonsense")
  await expect(request("run", ...OPENAI)).rejects.toThrow("OPENAI_BASE_URL: expected an address such as")
})

test("the key and the address come from the environment, an option goes before it", async () => {
  vi.stubEnv("OPENAI_API_KEY", " sk-1 ")
  vi.stubEnv("OPENAI_BASE_URL", "http://proxy.example/v1")
  expect((await request("run", ...OPENAI)).by).toMatchObject({ key: "sk-1", source: "http://proxy.example/v1" })
  const given = await request(
    "run",
    ...OPENAI,
    "--base-url",
    "http://localhost:8080/v1",
    "--concurrency",
    "2",
    "--per-minute",
    "60",
  )
  expect(given.by).toMatchObject({ source: "http://localhost:8080/v1", concurrency: 2, perMinute: 60 })
  expect((await request("run", "--grader", "anthropic", "--grader-model", "x", "--dry-run")).by).toMatchObject({
    key: undefined,
    source: "https://api.anthropic.com",
  })
})

test("the model that wrote the run rates it, or the one that is named", async () => {
  const own = await request("own", "--labels", "labels.json")
  expect(own).toMatchObject({
    concept: "bridge",
    coefficients: undefined,
    by: { grader: "local", model: "tiny-talk", own: true },
  })
  expect(own.labels?.topic).toBe("bridge")
  expect(own.grammar).toBeDefined()
  const other = await request("run", "--model", embeddedInstructModel, "--concept", "the sea", "--coefficients", "0,1")
  expect(other).toMatchObject({
    concept: "the sea",
    coefficients: [0, 1],
    by: { model: basename(embeddedInstructModel), own: false },
  })
  expect(other.grammar).toBeUndefined()
})
