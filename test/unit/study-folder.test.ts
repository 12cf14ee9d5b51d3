import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { openGrades } from "../../src/node/grades-file.ts"
import { openRun, readRun } from "../../src/node/run-folder.ts"
import { writeReport } from "../../src/node/report.ts"
import { openStudy, readStudy, topicFolder } from "../../src/node/study-folder.ts"
import { aspects } from "../../src/steering/rubric.ts"
import { checkTopicNames, readStudyRecord } from "../../src/steering/study-record.ts"
import { foundRun, identity } from "../helpers/runs.ts"
import { resultOfStudy, studiedTopic, studyIdentity } from "../helpers/studies.ts"

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "redline-study-"))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const about = { topics: { bridge: { sha256: "22" } }, truth: { grammar: "grammar.json" } }
const bridge = studiedTopic("bridge", [1, 1, 0.5], [1, 1, NaN])
const pirate = studiedTopic("pirate", [1, 0, 0], [1, 3, Infinity])
const linesOf = (): unknown[] =>
  readFileSync(join(folder, "curve.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { topic: string }).topic)

test("a study is read as it was written, numbers that are not finite too", async () => {
  const study = await openStudy(folder, studyIdentity, about)
  expect(await readStudy(folder)).toMatchObject({ ...about, result: null, lines: [] })
  await study.add(bridge)
  await study.add(pirate)
  const result = resultOfStudy([bridge, pirate])
  await study.finish(result)
  const read = await readStudy(folder)
  expect(read).toMatchObject({ ...studyIdentity, ...about })
  expect(read!.result!.methods.map(({ method }) => method)).toEqual(result.methods.map(({ method }) => method))
  expect(read!.lines.map(({ topic, coefficient, metrics }) => [topic, coefficient, metrics.nll])).toEqual([
    ["bridge", 0, 1],
    ["bridge", 0.1, 1],
    ["bridge", 0.2, NaN],
    ["pirate", 0, 1],
    ["pirate", 0.1, 3],
    ["pirate", 0.2, Infinity],
  ])
})

test("a study that goes on knows the losses, and keeps what is known of topics that are still to come", async () => {
  const first = await openStudy(folder, studyIdentity, about)
  for (const topic of [bridge, pirate]) await first.add(topic)
  const again = await openStudy(folder, studyIdentity, about)
  expect([...again.losses("pirate")]).toEqual([
    [0, 1],
    [0.1, 2],
    [0.2, 3],
  ])
  expect(again.losses("winter").size).toBe(0)
  await again.add(studiedTopic("winter", [1, 1], [1, 1]))
  expect(linesOf()).toEqual(["winter", "winter", "bridge", "bridge", "bridge", "pirate", "pirate", "pirate"])
  await again.add(bridge)
  await again.add(pirate)
  expect(linesOf()).toEqual(["winter", "winter", "bridge", "bridge", "bridge", "pirate", "pirate", "pirate"])
})

test("other topics and another truth are no other study; another model and other settings are", async () => {
  await openStudy(folder, studyIdentity, about)
  await openStudy(folder, studyIdentity, { topics: {}, truth: { labels: "labels.json" } })
  const before = readFileSync(join(folder, "run.json"), "utf8")
  const model = { ...studyIdentity.model, sha256: "77" }
  await expect(openStudy(folder, { ...studyIdentity, model }, about)).rejects.toThrow(
    /run\.json, model\.sha256: expected "77", as in this run, found "00"/,
  )
  const settings = { ...studyIdentity.settings, tokens: 8 }
  await expect(openStudy(folder, { ...studyIdentity, settings }, about)).rejects.toThrow(/settings\.tokens: expected 8.*found 32/)
  expect(readFileSync(join(folder, "run.json"), "utf8")).toBe(before)
  expect(readdirSync(folder)).toEqual(["run.json"])
})

test("a run and a study are told apart", async () => {
  const [run, study] = [join(folder, "run"), join(folder, "study")]
  using _ = await openRun(run, identity)
  await openStudy(study, studyIdentity, about)
  expect(await readStudy(run)).toBeUndefined()
  await expect(readRun(study)).rejects.toThrow(/study: expected a run's folder, found a study's; name folders in .*topics/)
  await expect(openStudy(run, studyIdentity, about)).rejects.toThrow(/run\.json, kind: expected "study", found nothing/)
  await expect(openRun(study, identity)).rejects.toThrow(/run\.json, vector: expected an object, found nothing/)
})

test("a torn last line is left out, a damaged one before it is refused by its number", async () => {
  const study = await openStudy(folder, studyIdentity, about)
  await study.add(bridge)
  const file = join(folder, "curve.jsonl")
  const text = readFileSync(file, "utf8")
  writeFileSync(file, text.slice(0, -5))
  expect((await readStudy(folder))!.lines.map(({ coefficient }) => coefficient)).toEqual([0, 0.1])
  writeFileSync(file, `{"topic": 3}\n${text}`)
  await expect(readStudy(folder)).rejects.toThrow(/curve\.jsonl, line 1, topic: expected a text, found 3/)
})

test("a record of another format is refused", () => {
  expect(() => readStudyRecord('{"format": 2, "kind": "study"}', "run.json")).toThrow(/^run\.json, format: expected 1, .*found 2/)
})

test("topics of the same name would share a folder", () => {
  expect(() => checkTopicNames(["bridge", "pirate", "bridge"])).toThrow(/^topic bridge: expected every topic once/)
  expect(() => checkTopicNames(["bridge", "pirate"])).not.toThrow()
})

test("topics that were graded stand in the study's report, by their last grading", async () => {
  const study = await openStudy(folder, studyIdentity, { ...about, topics: { bridge: {}, pirate: {} } })
  await study.add(bridge)
  const own = topicFolder(folder, "bridge")
  {
    using run = await openRun(own, identity)
    run.append(foundRun().curve)
    await run.finish(foundRun())
    using store = await openGrades(own)
    const rate = (model: string, coefficient: number, rating: number): void =>
      store.append(
        aspects.map((aspect) => {
          const grading = { grader: "openai", model, source: "there", concept: "bridge", rubric: "00" }
          return { ...grading, coefficient, prompt: 0, aspect, rating, key: `${model} ${coefficient} ${aspect}` }
        }),
      )
    rate("early", 0, 2)
    for (const [coefficient, rating] of [
      [0.5, 2],
      [1, 1],
    ] as const)
      rate("<late>", coefficient, rating)
  }
  await writeReport(folder)
  const html = readFileSync(join(folder, "report.html"), "utf8")
  const cells = ["&lt;late&gt;", "1", "1", "0.5", "2"].map((cell) => `<td>${cell}</td>`).join("")
  expect(html).toContain(`<h2>Grades</h2>`)
  expect(html).toContain(`<tr><th scope="row">bridge</th>${cells}</tr>`)
  expect(html).not.toContain(`<th scope="row">pirate</th>`)
})
