import * as z from "zod"
import { InputError } from "../engine/errors.ts"
import { checkShape, parseJson } from "../engine/json.ts"
import type { Metrics } from "./metrics.ts"
import type { MinimumScore } from "./minimum.ts"
import { number, checkSame, object, type RunIdentity, text, toText } from "./record.ts"
import type { Sensitivity } from "./sensitivity.ts"
import type { ReplayScore } from "./strategies.ts"
import type { MethodScore } from "./study.ts"
import type { StudiedTopic } from "./study-run.ts"

/** Everything needed to repeat a study, but its topics and its truth. */
export interface StudyIdentity extends Omit<RunIdentity, "vector"> {}

/** What a study found, without its curves. */
export interface StudyResult {
  readonly topics: readonly {
    readonly name: string
    readonly last: number
    readonly unit: number
    readonly minimum: number | null
  }[]
  readonly methods: readonly MethodScore[]
  readonly minimum: MinimumScore | null
  /** How often a coarse grid and a fine one between find the default's crossing. */
  readonly coarseThenFine: readonly ReplayScore[]
  readonly sensitivity: readonly Sensitivity[]
}

/** run.json of a study. */
export interface StudyRecord extends StudyIdentity {
  /** Where every topic's vector comes from. */
  readonly topics: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** What judges the texts: a file with its sha256. */
  readonly truth: Readonly<Record<string, unknown>>
  /** Null until the study is done. */
  readonly result: StudyResult | null
}

/** A line of a study's curve.jsonl. Its texts are in the topic's own folder. */
export interface StudyLine {
  readonly topic: string
  readonly coefficient: number
  readonly coherence: number | null
  readonly onTopic: number | null
  readonly textLoss: number | null
  readonly metrics: Metrics
}

/** A study as its folder holds it. */
export interface Study extends StudyRecord {
  readonly name: string
  readonly lines: readonly StudyLine[]
}

const FORMAT = 1
const KIND = "study"
const share = number.nullable()
const lineShape = z.looseObject(
  {
    topic: text,
    coefficient: number,
    coherence: share,
    onTopic: share,
    textLoss: share,
    metrics: z.record(z.string(), number, "an object of numbers"),
  },
  "an object",
)
const result = z.looseObject({
  topics: z.array(z.looseObject({ name: text })),
  methods: z.array(z.looseObject({ method: text })),
})
const recordShape = z.looseObject(
  {
    format: z.literal(FORMAT, `${FORMAT}, the format this version of redline reads`),
    kind: z.literal(KIND, `"${KIND}"`),
    versions: object,
    adapter: object,
    model: z.looseObject({ name: text }, "an object"),
    settings: object,
    topics: object,
    truth: object,
    result: result.nullable(),
  },
  "an object",
)

/** run.json's text: the same bytes for the same study. */
export function writeStudyRecord(record: StudyRecord): string {
  const { versions, adapter, model, evaluator, layers, prompts, settings, topics, truth, result: found } = record
  const identity = { versions, adapter, model, evaluator, layers, prompts, settings }
  return `${toText({ format: FORMAT, kind: KIND, ...identity, topics, truth, result: found }, 2)}\n`
}

/**
 * Reads run.json.
 * @throws InputError for what is no record of a study, or of another format
 */
export function readStudyRecord(source: string, where: string): StudyRecord {
  return checkShape(recordShape, parseJson(source, where), where) as unknown as StudyRecord
}

/** Whether a run.json is a study's. */
export function isStudyRecord(source: string): boolean {
  try {
    return (JSON.parse(source) as { kind?: unknown } | null)?.kind === KIND
  } catch {
    return false // whoever reads it as a run says what is wrong with it
  }
}

/**
 * Makes sure that a study may go on in the folder of another.
 * @throws InputError naming the first difference
 */
export function checkSameStudy(before: StudyIdentity, wanted: StudyIdentity, where: string): void {
  checkSame(before, wanted, ["model", "evaluator", "layers", "prompts", "settings", "adapter", "versions"], where)
}

/** Lines of curve.jsonl for a topic that is done. */
export function writeStudyLines({ name, curve }: StudiedTopic): string {
  const lines = curve.map(({ coefficient, coherence, onTopic, textLoss = null, metrics }): StudyLine => {
    return { topic: name, coefficient, coherence, onTopic, textLoss, metrics }
  })
  return lines.map((line) => `${toText(line)}\n`).join("")
}

/**
 * Reads curve.jsonl; a last line that is not whole is left out.
 * @throws InputError for a damaged line in the middle, naming it
 */
export function readStudyLines(source: string, where: string): StudyLine[] {
  return source
    .split("\n")
    .slice(0, -1)
    .map((line, i) => {
      const here = `${where}, line ${i + 1}`
      return checkShape(lineShape, parseJson(line, here), here) as unknown as StudyLine
    })
}

/** @throws InputError for topics of the same name, which would share a folder */
export function checkTopicNames(names: readonly string[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice === undefined) return
  throw new InputError({
    where: `topic ${twice}`,
    expected: "every topic once",
    found: "two of this name",
    todo: "rename a file",
  })
}
