import * as z from "zod"
import { InputError } from "../engine/errors.ts"
import { checkShape, parseJson, show } from "../engine/json.ts"
import type { CurvePoint, FindSettings, FoundRedline, ScoredCompletion } from "./find.ts"
import type { Evaluate, Evaluation } from "./search.ts"
import type { SteeringVector } from "./vector.ts"

/** Everything needed to repeat a search. Leave out what changes without changing the result: paths, times. */
export interface RunIdentity {
  readonly versions: Readonly<Record<string, string>>
  readonly adapter: Readonly<Record<string, unknown>>
  /** Its name, shape and sha256. */
  readonly model: Readonly<Record<string, unknown>> & { readonly name: string }
  /** The model that judged, where it was another. */
  readonly evaluator?: RunIdentity["model"] | undefined
  /** Where it is from, its norms and sha256. */
  readonly vector: Readonly<Record<string, unknown>>
  readonly layers: readonly number[]
  readonly prompts: FoundRedline["prompts"]
  readonly settings: FindSettings
}

/** What a search found, without its curve. */
export interface RunResult {
  readonly unit: number
  readonly baseline: number
  readonly threshold: number
  readonly crossing: number | null
  readonly max: number | null
  readonly interpolated: number | null
  /** The smallest coefficient that takes effect, where a method looked for it. */
  readonly minimum?: number | null
  readonly reason?: string | undefined
  readonly stopped: boolean
}

/** run.json. */
export interface RunRecord extends RunIdentity {
  /** Null until the search is done. */
  readonly result: RunResult | null
}

export interface RecordedCompletion extends ScoredCompletion {
  /** The text of each id; joined they are the text. */
  readonly pieces?: readonly string[] | undefined
}

/** A line of curve.jsonl. */
export interface RecordedPoint extends CurvePoint {
  readonly completions: readonly RecordedCompletion[]
}

/** A run as its folder holds it. */
export interface Run extends RunRecord {
  readonly name: string
  /** In ascending order of coefficients. */
  readonly curve: readonly RecordedPoint[]
}

const FORMAT = 1
/** A number as {@link toText} writes it. */
export const number: z.ZodType<number> = z.union(
  [z.number(), z.enum(["NaN", "Infinity", "-Infinity"]).transform(Number)],
  "a number",
)
export const text: z.ZodType<string> = z.string("a text")
const integers = z.array(z.int("a whole number"), "a list of whole numbers")
export const object: z.ZodType<Record<string, unknown>> = z.record(z.string(), z.unknown(), "an object")
const orNull = number.nullable()

const resultShape = z.looseObject(
  {
    unit: number,
    baseline: number,
    threshold: number,
    crossing: orNull,
    max: orNull,
    interpolated: orNull,
    minimum: orNull.optional(),
    reason: text.optional(),
    stopped: z.boolean("true or false"),
  },
  "an object or null",
)
const recordShape = z.looseObject(
  {
    format: z.literal(FORMAT, `${FORMAT}, the format this version of redline reads`),
    versions: z.record(z.string(), text, "an object"),
    adapter: object,
    model: z.looseObject({ name: text }, "an object"),
    evaluator: z.looseObject({ name: text }, "an object").optional(),
    vector: object,
    layers: integers,
    prompts: z.array(z.looseObject({ text: text.optional(), ids: integers }, "an object"), "a list"),
    settings: z.looseObject({ threshold: number, tokens: number, repetitionPenalty: number, metric: text }, "an object"),
    result: resultShape.nullable(),
  },
  "an object",
)
const metricsShape = z.record(z.string(), number, "an object of numbers")
const pointShape = z.looseObject(
  {
    coefficient: number,
    metric: number,
    metrics: metricsShape,
    metricsByPrompt: z.array(metricsShape, "a list").optional(),
    completions: z.array(
      z.looseObject({
        ids: integers,
        logprobs: z.array(number, "a list"),
        text: text.optional(),
        pieces: z.array(text, "a list").optional(),
      }),
      "a list",
    ),
    left: z.int("a whole number"),
  },
  "an object",
)

/** run.json's text: the same bytes for the same run. Numbers that are not finite are written as texts. */
export function writeRecord(record: RunRecord): string {
  const { versions, adapter, model, evaluator, vector, layers, prompts, settings, result } = record
  const ordered = { format: FORMAT, versions, adapter, model, evaluator, vector, layers, prompts, settings, result }
  return `${toText(ordered, 2)}\n`
}

/**
 * Reads run.json.
 * @throws InputError for what is no record of a run, or of another format
 */
export function readRecord(source: string, where: string): RunRecord {
  return checkShape(recordShape, parseJson(source, where), where) as unknown as RunRecord
}

/**
 * Lines of curve.jsonl for points that were generated as one batch. Each says how many of its batch follow, so that a reader
 * knows a whole batch: a search that resumes from whole batches forms the same ones again, and so gives the same bits.
 */
export function writePoints(points: readonly RecordedPoint[]): string {
  return points.map((point, i) => `${toText({ ...point, left: points.length - 1 - i })}\n`).join("")
}

/**
 * Reads curve.jsonl up to its last whole batch.
 * @returns the points in the order written, the number of characters that hold them, and how many lines after were dropped
 * @throws InputError for a damaged line in the middle, naming it
 */
export function readPoints(source: string, where: string): { points: RecordedPoint[]; kept: number; dropped: number } {
  const lines = source.split("\n")
  const torn = lines.pop() === "" ? 0 : 1
  const points: RecordedPoint[] = []
  let kept = 0
  let whole = 0
  let at = 0
  for (const [i, line] of lines.entries()) {
    const here = `${where}, line ${i + 1}`
    const { left, ...point } = checkShape(pointShape, parseJson(line, here), here)
    points.push(point as unknown as RecordedPoint)
    at += line.length + 1
    if (left === 0) [kept, whole] = [at, points.length]
  }
  return { points: points.slice(0, whole), kept, dropped: lines.length - whole + torn }
}

/**
 * Makes sure that a search may go on in the folder of another.
 * @throws InputError naming the first difference
 */
export function checkSameRun(before: RunIdentity, wanted: RunIdentity, where: string): void {
  checkSame(before, wanted, ["model", "evaluator", "vector", "layers", "prompts", "settings", "adapter", "versions"], where)
}

/**
 * Compares the parts of two records that `keys` name, in their order.
 * @throws InputError naming the first difference
 */
export function checkSame<T extends object>(before: T, wanted: T, keys: readonly (keyof T & string)[], where: string): void {
  for (const key of keys) {
    const difference = firstDifference(plain(before[key]), plain(wanted[key]), key)
    if (!difference) continue
    const [path, found, expected] = difference
    throw new InputError({
      where: `${where}, ${path}`,
      expected: `${show(expected)}, as in this run`,
      found: show(found),
      todo: "resume with the same model, vector and settings, or choose another folder",
    })
  }
}

/** Answers what is known from the record, evaluates the rest, and records it as it comes. */
export function recorded<E extends Evaluation>(
  evaluate: Evaluate<E>,
  record: { readonly known: readonly E[]; append(points: readonly E[]): void },
): Evaluate<E> {
  const known = new Map(record.known.map((point) => [point.coefficient, point]))
  return async (coefficients, context) => {
    const before = coefficients.flatMap((c) => known.get(c) ?? [])
    if (before.length > 0) context.onPoints(before)
    const rest = coefficients.filter((c) => !known.has(c))
    const keep = (points: readonly E[]): void => {
      const fresh = points.filter(({ coefficient }) => !known.has(coefficient))
      if (fresh.length > 0) record.append(fresh)
      for (const point of fresh) known.set(point.coefficient, point)
    }
    const onPoints = (points: readonly E[]): void => {
      keep(points)
      context.onPoints(points)
    }
    if (rest.length > 0) keep(await evaluate(rest, { ...context, onPoints }))
    return coefficients.map((c) => known.get(c) as E)
  }
}

/** A search's result without its curve. */
export function resultOf(found: FoundRedline & { readonly minimum?: number | null }): RunResult {
  const { unit, baseline, threshold, crossing, max, interpolated, minimum, reason, stopped } = found
  const optional = { ...(minimum !== undefined && { minimum }), ...(reason !== undefined && { reason }) }
  return { unit, baseline, threshold, crossing, max, interpolated, ...optional, stopped }
}

/** A vector as JSON documents give it: norms by layer. */
export function describeVector(vector: SteeringVector): Record<string, unknown> {
  const { modelHint, method, createdFrom } = vector.metadata
  return { modelHint, method, createdFrom, layers: vector.layers, norms: Object.fromEntries(vector.norms()) }
}

/** The text that each id adds; an id that ends in half a character adds nothing, the one that completes it the whole. */
export function tokenPieces(ids: readonly number[], decode: (ids: readonly number[]) => string): string[] {
  let done = ""
  return ids.map((_, i) => {
    const now = decode(ids.slice(0, i + 1))
    if (i < ids.length - 1 && now.endsWith("\uFFFD")) return ""
    const piece = now.slice(done.length)
    done = now
    return piece
  })
}

/** JSON in which numbers that are not finite are texts. */
export const toText = (value: unknown, indent?: number): string => JSON.stringify(value, notFiniteAsText, indent)

const notFiniteAsText = (_key: string, value: unknown): unknown =>
  typeof value === "number" && !Number.isFinite(value) ? String(value) : value

const plain = (value: unknown): unknown => (value === undefined ? null : JSON.parse(toText(value)))

function firstDifference(a: unknown, b: unknown, path: string): [path: string, a: unknown, b: unknown] | undefined {
  if (!isObject(a) || !isObject(b)) return JSON.stringify(a) === JSON.stringify(b) ? undefined : [path, a, b]
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const difference = firstDifference(a[key], b[key], `${path}.${key}`)
    if (difference) return difference
  }
  return Array.isArray(a) === Array.isArray(b) ? undefined : [path, a, b]
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null
