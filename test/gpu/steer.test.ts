import { expect, test } from "vitest"
import { pad8 } from "../../src/kernels/kernel.ts"
import { steer } from "../../src/kernels/steer.ts"
import { testDevice } from "../helpers/device.ts"
import { bitsOf, padRows, readFloats, rowOf, runKernel } from "../helpers/gpu.ts"
import { expectClose, random } from "../helpers/numbers.ts"

const ROWS = [2, 0, 0, 1, 2] // the batch row of each token
const TOKENS = ROWS.length

interface Problem {
  readonly width: number
  readonly count: number
  readonly x: Float32Array
  readonly vectors: Float32Array
  /** [batch rows, count] */
  readonly coefficients: Float32Array
}

function problem(width: number, count: number): Problem {
  const next = random(width + count)
  const coefficients = Float32Array.from({ length: 3 * count }, () => 4 * next())
  return { width, count, x: padRows(TOKENS, width, next), vectors: padRows(count, width, next), coefficients }
}

/** [tokens, pad8(width)] in float64. */
function reference({ width, count, x, vectors, coefficients }: Problem): Float64Array {
  const stride = pad8(width)
  const out = Float64Array.from(x)
  for (let t = 0; t < TOKENS; t++) {
    for (let v = 0; v < count; v++) {
      const c = coefficients[(ROWS[t] as number) * count + v] as number
      for (let i = 0; i < width; i++) out[t * stride + i]! += c * (vectors[v * stride + i] as number)
    }
  }
  return out
}

async function run({ width, count, x, vectors, coefficients }: Problem, rows: readonly number[] = ROWS): Promise<Float32Array> {
  const device = await testDevice()
  using stream = device.upload("x", x)
  using rowBuffer = device.upload("rows", Uint32Array.from(rows))
  using vectorBuffer = device.upload("vectors", vectors)
  using coefficientBuffer = device.upload("coefficients", coefficients)
  runKernel(device, steer({ width }), [stream, rowBuffer, vectorBuffer, coefficientBuffer], { tokens: rows.length, count })
  return readFloats(device, stream)
}

const cases = [
  { width: 37, count: 1 },
  { width: 120, count: 3 },
  { width: 520, count: 2 },
]

test.each(cases)("adds $count vectors of width $width, each row by its own coefficients", async (size) => {
  const p = problem(size.width, size.count)
  expectClose(await run(p), reference(p), { absolute: 1e-6, relative: 1e-6 })
})

test("coefficient 0 keeps the bits, whatever the vector holds", async () => {
  const p = problem(37, 2)
  p.coefficients.set([0, -0], 2 * 2)
  p.x[0] = -0
  p.vectors[1] = NaN
  p.vectors[2] = Infinity
  const result = await run(p)
  for (const t of [0, 4]) expect(bitsOf(rowOf(result, t, 37))).toEqual(bitsOf(rowOf(p.x, t, 37)))
  expect(rowOf(result, 3, 37)[1]).toBeNaN()
})

test("no vector at all changes nothing", async () => {
  const p = problem(37, 0)
  expect(bitsOf(await run(p))).toEqual(bitsOf(p.x))
})

test("a token's bits do not depend on the others", async () => {
  const p = problem(120, 3)
  const together = await run(p)
  for (let t = 0; t < TOKENS; t++) {
    const alone = await run({ ...p, x: rowOf(p.x, t, 120) }, [ROWS[t] as number])
    expect(bitsOf(alone)).toEqual(bitsOf(rowOf(together, t, 120)))
  }
})
