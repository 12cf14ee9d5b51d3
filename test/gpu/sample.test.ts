import { expect, test } from "vitest"
import { NOT_A_NUMBER } from "../../src/kernels/choose.ts"
import { sample, type SampleParameters } from "../../src/kernels/sample.ts"
import { testDevice } from "../helpers/device.ts"
import { random } from "../helpers/numbers.ts"
import { penalised, runChoice } from "../helpers/vocabulary.ts"

type Settings = Partial<Omit<SampleParameters, "rows">>

const parameters = (rows: number, settings: Settings): SampleParameters => ({
  rows,
  step: 0,
  historyStride: 1,
  penalty: 1,
  temperature: 1,
  topP: 1,
  ...settings,
})

const INF = Infinity
const VOCAB = 7 // rows shorter than that are filled up with -Infinity, so that all share one pipeline

/** Draws once for each seed from the same logits. */
async function drawEach(logits: readonly number[], seeds: number[], settings: Settings): Promise<readonly number[]> {
  const row = [...logits, ...Array<number>(VOCAB - logits.length).fill(-INF)]
  const rows = { logits: seeds.map(() => row), seeds }
  const kernel = sample({ vocab: VOCAB, lanes: 8 })
  const result = await runChoice(await testDevice(), kernel, rows, VOCAB, [parameters(seeds.length, settings)])
  return result.ids
}

const range = (length: number): number[] => Array.from({ length }, (_, i) => i)

function hash(value: number): number {
  const state = (Math.imul(value, 747796405) + 2891336453) >>> 0
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0
  return ((word >>> 22) ^ word) >>> 0
}

const uniformNumber = (seed: number, step: number): number => (hash((hash(seed) + step) >>> 0) >>> 8) / 2 ** 24

/** Probabilities after temperature and top-p in float64; null where rounding alone may decide who is in the nucleus. */
function nucleus(logits: Float64Array, temperature: number, topP: number): Float64Array | null {
  const top = Math.max(...logits)
  const weights = logits.map((x) => Math.exp((x - top) / temperature))
  const total = weights.reduce((a, b) => a + b)
  const order = [...weights.keys()].sort((a, b) => (weights[b] as number) - (weights[a] as number))
  const kept = new Float64Array(logits.length)
  let mass = 0
  for (let i = 0; i < order.length; i++) {
    const weight = weights[order[i] as number] as number
    const tied = i > 0 && weight === weights[order[i - 1] as number]
    if (topP < 1 && !tied && Math.abs(mass - topP) < 2e-6) return null
    if (topP < 1 && i > 0 && !tied && mass >= topP) break
    kept[order[i] as number] = weight / total
    mass += weight / total
  }
  return kept.map((p) => p / mass)
}

/** The token drawn, or null where `u` is within 1e-5 of a boundary between two tokens. */
function drawn(probabilities: Float64Array, u: number): number | null {
  let sum = 0
  for (const [id, p] of probabilities.entries()) {
    if (p === 0) continue
    if (Math.abs(sum - u) < 1e-5 && sum > 0) return null
    sum += p
    if (u < sum) return Math.abs(sum - u) < 1e-5 && sum < 1 - 1e-9 ? null : id
  }
  return null
}

test.each<[vocab: number, lanes: number, settings: Settings]>([
  [1, 8, {}],
  [7, 8, { temperature: 3 }],
  [519, 16, { temperature: 0.7, topP: 0.9 }],
  [519, 16, { temperature: 1.5, topP: 0.5, penalty: 1.3 }],
  [519, 16, { temperature: 5, topP: 0.999 }],
  [4099, 256, { temperature: 1, topP: 0.95, penalty: 1.1 }],
  [4099, 256, { temperature: 2 }],
])("draws as the reference does: vocab %i, %i lanes, %j", async (vocab, lanes, settings) => {
  const next = random(vocab + lanes)
  const rows = 64
  const logits = range(rows).map(() => Float32Array.from({ length: vocab }, () => next() * 4))
  const seen = logits.map(() => range(vocab).filter(() => next() > 0))
  const seeds = range(rows).map(() => Math.floor((next() + 1) * 2 ** 31))
  const { penalty, temperature, topP } = parameters(rows, settings)
  const step = 11
  const device = await testDevice()
  const got = await runChoice(device, sample({ vocab, lanes }), { logits, seen, seeds }, vocab, [
    parameters(rows, { ...settings, step, historyStride: 12 }),
  ])
  let compared = 0
  for (const row of range(rows)) {
    const penalisedRow = penalised(logits[row] as Float32Array, seen[row] as number[], Math.fround(penalty))
    const kept = nucleus(penalisedRow, Math.fround(temperature), Math.fround(topP))
    const expected = kept && drawn(kept, uniformNumber(seeds[row] as number, step))
    if (expected === null) continue
    compared++
    expect(got.ids[row], `row ${row}`).toBe(expected)
    expect(got.history[row]?.[step]).toBe(expected)
    expect(got.seen[row]).toContain(expected)
  }
  expect(compared).toBeGreaterThan(rows * 0.75)
})

test("the frequencies of many seeds are the probabilities", async () => {
  const logits = [1, -1, 0.5, 2, 0, -3, 1.5]
  const draws = 4096
  const tokens = await drawEach(logits, range(draws), { temperature: 1.25 })
  const expected = nucleus(Float64Array.from(logits), 1.25, 1) as Float64Array
  let chiSquared = 0
  for (const [id, p] of expected.entries()) {
    const count = tokens.filter((token) => token === id).length
    chiSquared += (count - p * draws) ** 2 / (p * draws)
  }
  expect(chiSquared).toBeLessThan(22.5) // exceeded once in 1000 by chance, 6 degrees of freedom
})

test.each<[what: string, logits: number[], settings: Settings, tokens: number[]]>([
  ["top-p keeps the fewest tokens that reach it", [1, 2, 3, 0, -1], { topP: 0.8 }, [1, 2]],
  ["top-p keeps all that tie with the last", [0, 3, 0, 3, 3, -1, 3], { topP: 0.3 }, [1, 3, 4, 6]],
  ["0 and -0 tie", [-5, -0, 0, -9], { topP: 0.4 }, [1, 2]],
  ["top-p 0 keeps the best", [1, 2, 3, 0], { topP: 0 }, [2]],
  ["a tiny top-p keeps the best", [-40, -20, -30], { topP: 1e-6 }, [1]],
  ["top-p 1 keeps all", [1, 0, 1, 0.5], { topP: 1 }, [0, 1, 2, 3]],
  ["a low temperature is greedy", [1, 1.01, 1, -9], { temperature: 1e-4 }, [1]],
  ["a temperature near 0 is greedy", [30, 29, -20, 30.5], { temperature: 1e-30 }, [3]],
  ["a high temperature is uniform", [30, -20, 0], { temperature: 1e6 }, [0, 1, 2]],
  ["-infinity is never drawn", [-INF, 0, -INF, 0, -INF], {}, [1, 3]],
  ["infinite logits share evenly", [0, INF, 3e38, INF], { topP: 0.5 }, [1, 3]],
  ["all -infinity", [-INF, -INF], {}, [0, 1, 2, 3, 4, 5, 6]],
])("%s", async (_what, logits, settings, tokens) => {
  const got = await drawEach(logits, range(128), settings)
  expect([...new Set(got)].sort((a, b) => a - b)).toEqual(tokens)
})

test("a row's draws depend on its own seed and the step alone", async () => {
  const vocab = 519
  const next = random(5)
  const row = Float32Array.from({ length: vocab }, next)
  const other = Float32Array.from({ length: vocab }, next)
  const kernel = sample({ vocab, lanes: 16 })
  const device = await testDevice()
  const run = (logits: Float32Array[], seeds: number[]): Promise<readonly (readonly number[])[]> =>
    runChoice(
      device,
      kernel,
      { logits, seeds },
      vocab,
      range(8).map((step) => parameters(logits.length, { step, historyStride: 8 })),
    ).then((result) => result.history)
  const [alone] = await run([row], [42])
  const together = await run([other, row, row], [42, 7, 42])
  expect(together[2]).toEqual(alone)
  expect(together[1]).not.toEqual(alone)
  expect(new Set(alone).size).toBeGreaterThan(4)
})

test("a row that holds NaN says so in its history", async () => {
  const logits = [
    [1, NaN, 2, 0, 0, 0, 0],
    [0, 0, 99, 0, 0, 0, 0],
  ]
  const rows = { logits, seeds: [1, 2] }
  const steps = [parameters(2, { topP: 0.5 })]
  const result = await runChoice(await testDevice(), sample({ vocab: VOCAB, lanes: 8 }), rows, VOCAB, steps)
  expect(result.history).toEqual([[NOT_A_NUMBER], [2]])
  expect(result.ids).toEqual([0, 2])
})
