import { expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import {
  checkSameRun,
  readPoints,
  readRecord,
  recorded,
  type RecordedPoint,
  type RunRecord,
  tokenPieces,
  writePoints,
  writeRecord,
} from "../../src/steering/record.ts"
import { foundRun, identity, recordedRun } from "../helpers/runs.ts"

const done: RunRecord = { ...identity, result: recordedRun().result }
const changed = (changes: object): RunRecord => ({ ...done, ...changes }) as RunRecord

test.each<[string, RunRecord]>([
  ["a search that is done", done],
  ["one that is not", changed({ result: null })],
  ["one that found nothing", changed({ result: { ...done.result, max: null, crossing: null, reason: "it stays «below»" } })],
  ["NaN and infinities", changed({ result: { ...done.result, baseline: NaN, crossing: Infinity, interpolated: -Infinity } })],
  ["one with another model as judge", changed({ evaluator: { name: "judge", sha256: "22" } })],
])("%s comes back from run.json as it was, whatever the order of its keys", (_name, record) => {
  const text = writeRecord(record)
  expect(readRecord(text, "run.json")).toEqual({ format: 1, ...record })
  expect(writeRecord(Object.fromEntries(Object.entries(record).toReversed()) as unknown as RunRecord)).toBe(text)
})

test.each<[string, (text: string) => string, string]>([
  ["of another format", (text) => text.replace('"format": 1', '"format": 2'), "run.json, format: expected 1, .* found 2"],
  ["without a format", (text) => text.replace('"format": 1,', ""), "run.json, format: expected 1, .* found nothing"],
  ["cut short", (text) => text.slice(0, 100), "run.json: expected JSON, found broken JSON"],
  ["with a text for a number", (text) => text.replace('"baseline": 1', '"baseline": "1"'), 'result.baseline: .* found "1"'],
  [
    "without a result",
    (text) => text.replace('"result"', '"other"'),
    "run.json, result: expected an object or null, found nothing",
  ],
])("a record %s is refused", (_name, damage, message) => {
  const read = (): RunRecord => readRecord(damage(writeRecord(done)), "run.json")
  expect(read).toThrow(InputError)
  expect(read).toThrow(new RegExp(message))
})

const points = foundRun().curve
const batches = [points.slice(0, 2), points.slice(2)]
const [first, second] = batches.map(writePoints) as [string, string]
const cut = (text: string, lines: number): string => text.split("\n").slice(0, lines).join("\n")

test.each([
  ["nothing", "", 0, 0],
  ["a batch", first, 1, 0],
  ["two batches", first + second, 2, 0],
  ["half a line after a batch", first + second.slice(0, 40), 1, 1],
  ["a whole line without its end", `${first}${cut(second, 1)}`, 1, 1],
  ["a line of a batch of three", `${first}${cut(second, 1)}\n`, 1, 1],
  ["two lines and a half of a batch of three", `${first}${cut(second, 2)}\n{"coeff`, 1, 3],
  ["half the first batch", `${cut(first, 1)}\n`, 0, 1],
])("of %s the whole batches are read", (_name, text, whole, dropped) => {
  const kept = [first, second].slice(0, whole).join("").length
  expect(readPoints(text, "curve.jsonl")).toEqual({ points: batches.slice(0, whole).flat(), kept, dropped })
})

test("numbers of a point that are not finite come back", () => {
  const point = { ...points[0], metric: NaN, metrics: { nll: NaN, kl: -Infinity } } as unknown as RecordedPoint
  expect(readPoints(writePoints([point]), "curve.jsonl").points).toEqual([point])
})

test.each<[string, string, string]>([
  ["no JSON", "{", "line 2: expected JSON, found broken JSON"],
  ["no text", "", "line 2: expected JSON, found an empty text"],
  ["no coefficient", '{"metric":1}', "line 2, coefficient: expected a number, found nothing"],
  ["a metric that is no number", '{"coefficient":0,"metric":1,"metrics":{"nll":"low"}}', 'metrics.nll: .* found "low"'],
])("a line in the middle with %s is refused, by its number", (_name, line, message) => {
  const lines = first.split("\n").toSpliced(1, 1, line)
  const read = (): unknown => readPoints(lines.join("\n") + second, "curve.jsonl")
  expect(read).toThrow(InputError)
  expect(read).toThrow(new RegExp(`^curve\\.jsonl, line 2.*`))
  expect(read).toThrow(new RegExp(message))
})

const before = { ...identity, vector: { method: "mean", norms: [1, NaN], sha256: "11" } }
const vector = (changes: object): object => ({ vector: { ...before.vector, ...changes } })

test.each<[string, object, string]>([
  ["model", { model: { ...before.model, sha256: "01" } }, 'model.sha256: expected "01", as in this run, found "00"'],
  ["evaluator", { evaluator: { name: "judge" } }, 'evaluator: expected {"name":"judge"}, as in this run, found null'],
  ["vector", vector({ sha256: "12" }), 'vector.sha256: expected "12", as in this run, found "11"'],
  ["vector's norms", vector({ norms: [1, 2] }), 'vector.norms.1: expected 2, as in this run, found "NaN"'],
  ["layers", { layers: [3] }, "layers.1: expected nothing, as in this run, found 4"],
  ["prompts", { prompts: identity.prompts.slice(0, 1) }, "prompts.1: expected nothing, as in this run, found {"],
  ["settings", { settings: { ...identity.settings, seed: 1 } }, "settings.seed: expected 1, as in this run, found 0"],
  ["adapter", { adapter: { vendor: "other" } }, 'adapter.vendor: expected "other", as in this run, found "test"'],
  ["versions", { versions: { ...identity.versions, extra: "1" } }, 'versions.extra: expected "1", as in this run, found nothing'],
  ["first of several", { versions: {}, layers: [1] }, "layers.0: expected 1, as in this run, found 3"],
])("a run with another %s is not the same", (_name, changes, message) => {
  expect(() => checkSameRun(before, before, "run.json")).not.toThrow()
  expect(() => checkSameRun(before, { ...before, ...changes }, "run.json")).toThrow(InputError)
  expect(() => checkSameRun(before, { ...before, ...changes }, "run.json")).toThrow(`run.json, ${message}`)
})

test("a run read from its file is the same run", () => {
  const read = readRecord(writeRecord({ ...before, result: null }), "run.json")
  expect(() => checkSameRun(read, before, "run.json")).not.toThrow()
})

const ofCoefficients = (coefficients: readonly number[]): RecordedPoint[] =>
  points.filter(({ coefficient }) => coefficients.includes(coefficient))
const coefficientsOf = (of: readonly { readonly coefficient: number }[]): number[] => of.map(({ coefficient }) => coefficient)

interface Replayed {
  readonly asked: number[][]
  readonly appended: number[][]
  readonly shown: number[][]
  readonly answers: number[][]
}

/** Asks for lists of coefficients, one after the other, of an evaluation that hands its points over one by one. */
async function replay(known: readonly number[], wanted: readonly (readonly number[])[]): Promise<Replayed> {
  const replayed: Replayed = { asked: [], appended: [], shown: [], answers: [] }
  const evaluate = recorded<RecordedPoint>(
    async (coefficients, { onPoints }) => {
      replayed.asked.push([...coefficients])
      const all = ofCoefficients(coefficients)
      for (const point of all) onPoints([point])
      return all
    },
    { known: ofCoefficients(known), append: (added) => replayed.appended.push(coefficientsOf(added)) },
  )
  const onPoints = (shown: readonly RecordedPoint[]): void => void replayed.shown.push(coefficientsOf(shown))
  for (const coefficients of wanted) replayed.answers.push(coefficientsOf(await evaluate(coefficients, { onPoints })))
  return replayed
}

test.each<[string, number[], number[][], Omit<Replayed, "answers">]>([
  ["nothing is known", [], [[0, 1]], { asked: [[0, 1]], appended: [[0], [1]], shown: [[0], [1]] }],
  ["all is known", [0, 1], [[0, 1]], { asked: [], appended: [], shown: [[0, 1]] }],
  ["some is known", [0, 1.5], [[0, 1, 1.5, 2]], { asked: [[1, 2]], appended: [[1], [2]], shown: [[0, 1.5], [1], [2]] }],
  [
    "it is asked again",
    [],
    [
      [0, 1],
      [1, 2],
    ],
    { asked: [[0, 1], [2]], appended: [[0], [1], [2]], shown: [[0], [1], [1], [2]] },
  ],
])("when %s, only the unknown is evaluated, and appended once", async (_name, known, wanted, expected) => {
  expect(await replay(known, wanted)).toEqual({ ...expected, answers: wanted })
})

test("points that an evaluation only returns are appended too", async () => {
  const appended: number[][] = []
  const append = (added: readonly RecordedPoint[]): void => void appended.push(coefficientsOf(added))
  const evaluate = recorded(async (coefficients) => ofCoefficients(coefficients), { known: [], append })
  await evaluate([0, 1], { onPoints: () => {} })
  expect(appended).toEqual([[0, 1]])
})

const BYTES: Readonly<Record<number, number[]>> = {
  1: [0x48, 0x69],
  2: [0x20, 0xe2, 0x82],
  3: [0xac],
  4: [0xc3],
  5: [0xa4, 0x21],
  6: [],
  7: [0xef, 0xbf, 0xbd],
}
const decode = (ids: readonly number[]): string => new TextDecoder().decode(Uint8Array.from(ids.flatMap((id) => BYTES[id] ?? [])))

test.each<[string, number[], string[]]>([
  ["no ids", [], []],
  ["whole characters", [1, 1], ["Hi", "Hi"]],
  ["a character split over two ids", [1, 2, 3], ["Hi", "", " €"]],
  ["two split ones in a row", [2, 3, 4, 5], ["", " €", "", "ä!"]],
  ["half a character at the end", [1, 4], ["Hi", "\uFFFD"]],
  ["an id without text", [1, 6, 1], ["Hi", "", "Hi"]],
  ["the replacement character itself", [7, 1], ["", "\uFFFDHi"]],
])("pieces of %s, which join to the text", (_name, ids, pieces) => {
  expect(tokenPieces(ids, decode)).toEqual(pieces)
  expect(pieces.join("")).toBe(decode(ids))
})
