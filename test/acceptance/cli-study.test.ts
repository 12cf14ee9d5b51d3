import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { CommandLine } from "../helpers/cli.ts"
import { modelWith, writePairs } from "../helpers/cli-files.ts"

const cli = new CommandLine()
afterAll(() => cli.remove())

const pairs = (topic: string): string => writePairs(cli, topic, 8)

const STUDY = [
  "study",
  pairs("bridge"),
  pairs("pirate"),
  "--coefficients",
  "0:1.2:0.4",
  "--tokens",
  "8",
  "--prompt",
  "These days, I",
]

/** Every file below a folder but the times. */
function filesOf(folder: string): Map<string, string> {
  const names = readdirSync(cli.at(folder), { recursive: true, encoding: "utf8" }).toSorted()
  const files = names.filter((name) => statSync(join(cli.at(folder), name)).isFile())
  return new Map(files.map((name) => [name, readFileSync(join(cli.at(folder), name)).toString("latin1")]))
}

interface StudyDocument {
  topics: { name: string; last: number; coherence: (number | null)[] }[]
  methods: { method: string; picks: { topic: string; pick: number }[] }[]
  sensitivity: { setting: string; value: string }[]
}

describe("a study of pairs", () => {
  let document: StudyDocument
  beforeAll(async () => {
    document = (await cli.json(...STUDY, "--out", "whole/run")) as unknown as StudyDocument
  })

  test("keeps its record, a line for every coefficient of a topic, the figures, and each topic's run", () => {
    expect(document.topics.map(({ name }) => name)).toEqual(["bridge", "pirate"])
    const files = filesOf("whole/run")
    for (const name of ["run.json", "report.html", "methods.svg", "methods.png", "truth.svg", "truth.png"]) {
      expect([...files.keys()]).toContain(name)
    }
    const lines = (files.get("curve.jsonl") as string).trimEnd().split("\n")
    expect(lines.map((line) => JSON.parse(line) as object)).toEqual(
      ["bridge", "pirate"].flatMap((topic) =>
        [0, 0.4, 0.8, 1.2].map((coefficient) => expect.objectContaining({ topic, coefficient })),
      ),
    )
    expect([...files.keys()].filter((name) => name.startsWith("topics/bridge/"))).toEqual([
      "topics/bridge/curve.jsonl",
      "topics/bridge/run.json",
      "topics/bridge/vector.safetensors",
    ])
  })

  test("that was stopped goes on, repeats nothing and gives the same files byte for byte", async () => {
    const whole = filesOf("whole/run")
    cpSync(cli.at("whole"), cli.at("torn"), { recursive: true })
    // As a kill in the midst of the second topic leaves it.
    rmSync(cli.at("torn/run/topics/pirate/curve.jsonl"))
    const first = (whole.get("curve.jsonl") as string).split("\n").slice(0, 4).join("\n")
    writeFileSync(cli.at("torn/run/curve.jsonl"), `${first}\n`)
    for (const name of ["report.html", "methods.svg"]) rmSync(cli.at(`torn/run/${name}`))
    const { code, notes } = await cli.run(...STUDY, "--out", "torn/run")
    expect(code).toBe(0)
    expect(notes).toEqual([expect.stringMatching(/topics\/bridge: 4 coefficients known from an earlier run/)])
    expect(filesOf("torn/run")).toEqual(whole)
  })

  test("with other settings is refused in the same folder, naming the first difference, and leaves it as it was", async () => {
    const before = filesOf("whole/run")
    const { code, errors } = await cli.run(...STUDY, "--tokens", "9", "--out", "whole/run")
    expect({ code, errors }).toEqual({
      code: 2,
      errors: [expect.stringMatching(/run\.json, settings\.tokens: expected 9, as in this run, found 8/)],
    })
    expect(filesOf("whole/run")).toEqual(before)
  })

  test("is drawn anew by report, and is no run to compare", async () => {
    const before = filesOf("whole/run")
    rmSync(cli.at("whole/run/report.html"))
    expect((await cli.run("report", "whole/run")).code).toBe(0)
    expect(filesOf("whole/run")).toEqual(before)
    const { code, errors } = await cli.run("report", "whole/run", "whole/run/topics/bridge", "--out", "compared")
    expect({ code, errors }).toEqual({
      code: 2,
      errors: [expect.stringMatching(/^redline: whole\/run: expected a run's folder, found a study's/)],
    })
  })

  test("labels by hand take the place of the grammar, for pairs and for runs that are done", async () => {
    const labels = { bridge: { "0": 1, "0.4": 1, "0.8": 0 }, pirate: { "0": 1, "0.4": 0 } }
    writeFileSync(cli.at("labels.json"), JSON.stringify(labels))
    const kept = (await cli.json(...STUDY, "--out", "whole/run", "--labels", "labels.json")) as unknown as StudyDocument
    const runs = ["whole/run/topics/bridge", "whole/run/topics/pirate"]
    const judged = (await cli.json("study", ...runs, "--labels", "labels.json", "--out", "judged")) as unknown as StudyDocument
    for (const { topics } of [kept, judged]) {
      expect(topics.map(({ last, coherence }) => ({ last, coherence }))).toEqual([
        { last: 0.4, coherence: [1, 1, 0, null] },
        { last: 0, coherence: [1, 0, null, null] },
      ])
    }
    // The loss on ordinary text needs the model: all other methods pick the same.
    const methods = kept.methods.filter(({ method }) => !method.startsWith("loss-bound"))
    expect(judged.methods).toEqual(methods)
    expect(judged.methods.length).toBe(kept.methods.length - 1)
    expect([...filesOf("judged").keys()]).toContain("report.html")
  })
})

test("a study of a model without a grammar keeps the texts, and asks for labels", async () => {
  modelWith(cli, "other", {})
  const study = [...STUDY.slice(0, 2), ...STUDY.slice(3), "--model", "other"]
  const { code, stdout } = await cli.run(...study, "--out", "unlabelled")
  expect(code).toBe(0)
  expect(stdout).toMatch(/Fill in unlabelled\/labels\.json/)
  const template = readFileSync(cli.at("unlabelled/labels.json"), "utf8")
  expect(JSON.parse(template)).toEqual({ bridge: { "0": null, "0.4": null, "0.8": null, "1.2": null } })
  writeFileSync(cli.at("unlabelled/labels.json"), template.replace('"0":null', '"0":1').replace('"0.4":null', '"0.4":0'))
  const document = (await cli.json(
    ...study,
    "--out",
    "unlabelled",
    "--labels",
    "unlabelled/labels.json",
  )) as unknown as StudyDocument
  expect(document.topics[0]).toMatchObject({ name: "bridge", last: 0 })
  const filled = readFileSync(cli.at("unlabelled/labels.json"), "utf8")
  expect((await cli.run(...study, "--out", "unlabelled")).code).toBe(0)
  expect(readFileSync(cli.at("unlabelled/labels.json"), "utf8")).toBe(filled)
})

test("sensitivity changes one setting at a time, the models too", async () => {
  const small = ["study", pairs("bridge"), "--coefficients", "0,0.4,0.8", "--tokens", "4", "--prompt", "These days, I"]
  writeFileSync(cli.at("kinds.json"), '{"plain": ["I like"]}')
  const document = await cli.json(...small, "--sensitivity", "--prompt-kinds", "kinds.json", "--out", "varied")
  const rows = (document as unknown as StudyDocument).sensitivity.map(({ setting, value }) => `${setting} ${value}`)
  expect(rows).toEqual([
    "tokens 4",
    "tokens 8",
    "tokens 12",
    "tokens 16",
    "tokens 64",
    "repetition penalty 1",
    "repetition penalty 1.2",
    "repetition penalty 1.3",
    "temperature 0.5",
    "temperature 1",
    "prompts plain",
    "writer, evaluator tiny-talk, tiny-talk-instruct",
    "writer, evaluator tiny-talk-instruct, tiny-talk-instruct",
    "writer, evaluator tiny-talk-instruct, tiny-talk",
  ])
  const files = [...filesOf("varied").keys()]
  expect(files).toContain("sensitivity/temperature/0.5/seed-2000000/bridge/curve.jsonl")
  expect(readFileSync(cli.at("varied/report.html"), "utf8")).toMatch(/<h2>Sensitivity<\/h2>/)
})

describe("bad input", () => {
  const one = ["study", pairs("bridge"), "--coefficients", "0,0.4,0.8"]
  beforeAll(() => {
    writeFileSync(cli.at("unknown.json"), '{"bridge": {"0": 1, "0.3": 1}}')
    writeFileSync(cli.at("empty.jsonl"), "")
    writeFileSync(cli.at("no-kinds.json"), '{"plain": []}')
    modelWith(cli, "stranger", {})
  })
  test.each<[string, string[], string]>([
    [
      "labels for an unknown coefficient",
      [...one, "--labels", "unknown.json"],
      'unknown\\.json, "bridge": expected a coefficient that was run: 0, 0\\.4, 0\\.8, found a label for 0\\.3',
    ],
    [
      "labels and a grammar",
      [...one, "--labels", "unknown.json", "--grammar", "g.json"],
      "--labels: expected it alone, found --grammar too",
    ],
    [
      "no truth and no folder",
      [...one, "--model", "stranger"],
      "study: expected --labels or --grammar.*found neither for stranger; or keep the texts with --out",
    ],
    [
      "a topic twice",
      ["study", pairs("bridge"), pairs("bridge")],
      "topic bridge: expected every topic once, found two of this name",
    ],
    ["zero pairs", ["study", "empty.jsonl"], "empty\\.jsonl: expected "],
    ["auto", ["study", "--coefficients", "auto"], "--coefficients: expected a grid of three or more from 0 on, found auto"],
    [
      "a grid that leaves 0 out",
      [...one.slice(0, 2), "--coefficients", "0.4,0.8"],
      "--coefficients: expected a grid of three or more from 0 on, found 0\\.4, 0\\.8",
    ],
    ["a folder that is no run", ["study", "stranger"], "stranger: expected a run's folder with run\\.json, found none"],
    [
      "settings of runs that are done",
      ["study", "stranger", "--tokens", "4"],
      "--tokens: expected pairs to run, found stranger, a run that is done",
    ],
    [
      "runs and pairs together",
      ["study", "stranger", pairs("bridge")],
      ".*bridge\\.jsonl: expected a run's folder, as stranger is, found a file",
    ],
    [
      "no prompts of a kind",
      [...one, "--sensitivity", "--prompt-kinds", "no-kinds.json"],
      "no-kinds\\.json, plain: expected at least one prompt",
    ],
    [
      "an instruct model that is not there",
      [...one, "--sensitivity", "--instruct", "nowhere"],
      "nowhere: expected a folder, found no such file or folder",
    ],
    [
      "kinds of prompts without sensitivity",
      [...one, "--prompt-kinds", "no-kinds.json"],
      "--prompt-kinds: expected --sensitivity beside it",
    ],
  ])("%s", async (_, args, message) => {
    await cli.expectBadInput(args, message)
  })
})
