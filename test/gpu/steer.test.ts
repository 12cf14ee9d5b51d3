import { expect, test } from "vitest"
import { pad8 } from "../../src/kernels/kernel.ts"
import { operationWords, steer, type SteeringOperation, type SteeringWay } from "../../src/kernels/steer.ts"
import { testDevice } from "../helpers/device.ts"
import { bitsOf, padRows, readFloats, rowOf, runKernel } from "../helpers/gpu.ts"
import { expectClose, random } from "../helpers/numbers.ts"

const ROWS = [2, 0, 0, 1, 2] // the batch row of each token
const POSITIONS = [0, 5, 6, 2, 9]
const BATCH_ROWS = 3
const TOKENS = ROWS.length

interface Problem {
  readonly width: number
  readonly count: number
  readonly x: Float32Array
  readonly vectors: Float32Array
  /** [batch rows, count] */
  readonly operations: (SteeringOperation | undefined)[]
}

interface Kind {
  readonly way: SteeringWay
  readonly keepLength: boolean
}

const plain: Kind = { way: "add", keepLength: false }

function problem(width: number, count: number, kinds: readonly Kind[] = [plain]): Problem {
  const next = random(width + count)
  const operations = Array.from({ length: BATCH_ROWS * count }, (_, i) => ({
    ...(kinds[i % kinds.length] as Kind),
    coefficient: 2 * next(),
    first: 0,
    end: Infinity,
  }))
  return { width, count, x: padRows(TOKENS, width, next), vectors: padRows(count, width, next), operations }
}

/** [tokens, pad8(width)] in float64, each way by its formula over whole vectors. */
function reference({ width, count, x, vectors, operations }: Problem): Float64Array {
  const stride = pad8(width)
  const out = Float64Array.from(x)
  for (let t = 0; t < TOKENS; t++) {
    for (let v = 0; v < count; v++) {
      const operation = operations[(ROWS[t] as number) * count + v]
      const position = POSITIONS[t] as number
      if (!operation || position < operation.first || position >= operation.end) continue
      const before = [...out.subarray(t * stride, t * stride + width)]
      const after = applied(operation, before, [...vectors.subarray(v * stride, v * stride + width)])
      out.set(after, t * stride)
    }
  }
  return out
}

const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, value, i) => sum + value * (b[i] as number), 0)
const length = (a: readonly number[]): number => Math.sqrt(dot(a, a))
const mix = (s: number, a: readonly number[], t: number, b: readonly number[]): number[] =>
  a.map((value, i) => s * value + t * (b[i] as number))

function applied({ way, keepLength, coefficient: c }: SteeringOperation, x: number[], v: number[]): number[] {
  const unit = v.map((value) => value / length(v))
  const p = dot(x, unit)
  let after: number[]
  if (way === "add") after = mix(1, x, c, v)
  else if (way === "ablate") after = mix(1, x, -c * p, unit)
  else if (way === "clamp") after = mix(1, x, c - p, unit)
  else {
    const across = mix(1, x, -p, unit)
    const acrossUnit = across.map((value) => value / length(across))
    const angle = Math.min(Math.PI, Math.max(0, Math.acos(p / length(x)) - c))
    after = mix(length(x) * Math.cos(angle), unit, length(x) * Math.sin(angle), acrossUnit)
  }
  return keepLength ? after.map((value) => (value * length(x)) / length(after)) : after
}

async function run(p: Problem, addsAlone: boolean, tokens: readonly number[] = [...ROWS.keys()]): Promise<Float32Array> {
  const device = await testDevice()
  const { width, count } = p
  using stream = device.upload("x", p.x)
  using rows = device.upload(
    "rows",
    Uint32Array.from(tokens, (t) => ROWS[t] as number),
  )
  using positions = device.upload(
    "positions",
    Uint32Array.from(tokens, (t) => POSITIONS[t] as number),
  )
  using vectors = device.upload("vectors", p.vectors)
  using operations = device.upload("operations", Uint32Array.from(p.operations.flatMap(operationWords)))
  runKernel(device, steer({ width, addsAlone }), [stream, rows, positions, vectors, operations], { tokens: tokens.length, count })
  return readFloats(device, stream)
}

const sizes = [
  { width: 37, count: 1 },
  { width: 120, count: 3 },
  { width: 1500, count: 2 },
]

test.each(sizes)("adds $count vectors of width $width, each row by its own coefficients", async ({ width, count }) => {
  const p = problem(width, count)
  expectClose(await run(p, true), reference(p), { absolute: 1e-6, relative: 1e-6 })
  expectClose(await run(p, false), reference(p), { absolute: 1e-6, relative: 1e-6 })
})

const ways: Kind[] = (["add", "ablate", "clamp", "rotate"] as const).flatMap((way) => [
  { way, keepLength: false },
  { way, keepLength: true },
])

test.each(ways)("$way, length kept: $keepLength, is its formula", async (kind) => {
  for (const { width, count } of sizes) {
    const p = problem(width, count, [kind])
    expectClose(await run(p, false), reference(p), { absolute: 2e-5, relative: 2e-5 }, `width ${width}`)
  }
})

test("every row has ways and positions of its own", async () => {
  const p = problem(120, 3, ways)
  const operations = p.operations.map((operation, i) => (i % 4 === 3 ? undefined : { ...operation!, first: i % 3, end: 4 + i }))
  expectClose(await run({ ...p, operations }, false), reference({ ...p, operations }), { absolute: 2e-5, relative: 2e-5 })
})

test("rotating keeps the length and stops at the vector", async () => {
  const p = problem(37, 1, [{ way: "rotate", keepLength: false }])
  const operations = p.operations.map((operation) => ({ ...operation!, coefficient: 10 }))
  const result = await run({ ...p, operations }, false)
  const v = [...rowOf(p.vectors, 0, 37)]
  for (let t = 0; t < TOKENS; t++) {
    const after = [...rowOf(result, t, 37)]
    expect(length(after)).toBeCloseTo(length([...rowOf(p.x, t, 37)]), 4)
    expect(dot(after, v) / length(after) / length(v)).toBeCloseTo(1, 5)
  }
})

test.each([true, false])(
  "a row without an operation keeps its bits, whatever the vector holds (adds alone: %s)",
  async (addsAlone) => {
    const p = problem(37, 2)
    p.operations.fill(undefined, 2 * 2)
    p.x[0] = -0
    p.vectors[1] = NaN
    p.vectors[2] = Infinity
    const result = await run(p, addsAlone)
    for (const t of [0, 4]) expect(bitsOf(rowOf(result, t, 37))).toEqual(bitsOf(rowOf(p.x, t, 37)))
    expect(rowOf(result, 3, 37)[1]).toBeNaN()
  },
)

test.each([true, false])("no vector at all changes nothing (adds alone: %s)", async (addsAlone) => {
  const p = problem(37, 0)
  expect(bitsOf(await run(p, addsAlone))).toEqual(bitsOf(p.x))
})

test("a token's bits do not depend on the others", async () => {
  const p = problem(120, 3, ways)
  for (const addsAlone of [true, false]) {
    const together = await run(p, addsAlone)
    for (let t = 0; t < TOKENS; t++) {
      const alone = await run({ ...p, x: rowOf(p.x, t, 120) }, addsAlone, [t])
      expect(bitsOf(alone)).toEqual(bitsOf(rowOf(together, t, 120)))
    }
  }
})
