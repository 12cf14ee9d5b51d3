import { beforeAll, describe, expect, test } from "vitest"
import type { Device, GpuBuffer } from "../../src/engine/device.ts"
import { Recorder } from "../../src/engine/recorder.ts"
import { addSplits } from "../../src/kernels/add-splits.ts"
import { halfRows, type Parts } from "../../src/kernels/half-rows.ts"
import { pad8 } from "../../src/kernels/kernel.ts"
import { fitTile, matmulMatrix, type MatrixTile, type MatrixUnit, splitsOf, tileBytes } from "../../src/kernels/matmul-matrix.ts"
import type { MatmulParameters } from "../../src/kernels/matmul.ts"
import { chooseSplits, MATRIX_STEPS } from "../../src/kernels/shapes.ts"
import { testDevice } from "../helpers/device.ts"
import { emulatedUnit } from "../helpers/matrix-unit.ts"
import { expectClose, packWeights, random, roundTo } from "../helpers/numbers.ts"

const TILES = new Map(MATRIX_STEPS.map(({ tile }) => [`${tile.tokens} x ${tile.rows}`, tile]))
const SHARED = 32 * 1024 // lavapipe's workgroup memory
const PAD = 5 // columns on either side of the outputs that belong to others
const GUARD = 12345
const WEIGHT_SCALE = 2 ** -7
/** Of a token's largest output: f32 sums of 1100 terms, where f16 activations alone are 2e-4 off. */
const CLOSE = 4e-6

interface Problem {
  readonly tokens: number
  readonly rows: number
  readonly columns: number
  readonly x: Float32Array<ArrayBuffer>
  readonly packed: Uint32Array<ArrayBuffer>
  /** [tokens, rows] in float64, from activations as they are and as f16 holds them. */
  readonly exact: Float64Array
  readonly rounded: Float64Array
}

/** A token's activation as the kernel's f16 holds it. */
function roundRow(row: Float32Array): Float64Array {
  const largest = row.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
  const scale = 2 ** (14 - Math.floor(Math.log2(largest)))
  return Float64Array.from(row, (each) => roundTo("f16", each * scale) / scale)
}

/** Tokens of very different sizes: each is scaled on its own. */
function problem(tokens: number, rows: number, columns: number): Problem {
  const next = random(rows * 31 + columns)
  const stride = pad8(columns)
  const x = new Float32Array(tokens * stride)
  for (let t = 0; t < tokens; t++) for (let k = 0; k < columns; k++) x[t * stride + k] = next() * 4 ** ((t % 9) - 4)
  const weights = Float64Array.from({ length: rows * columns }, () => roundTo("f16", next() * 100))
  const product = (of: (row: Float32Array) => ArrayLike<number>): Float64Array => {
    const out = new Float64Array(tokens * rows)
    for (let t = 0; t < tokens; t++) {
      const row = of(x.subarray(t * stride, t * stride + columns))
      for (let n = 0; n < rows; n++) {
        let sum = 0
        for (let k = 0; k < columns; k++) sum += (row[k] as number) * (weights[n * columns + k] as number)
        out[t * rows + n] = sum * WEIGHT_SCALE
      }
    }
    return out
  }
  const packed = packWeights(weights, rows, columns, "f16")
  return { tokens, rows, columns, x, packed, exact: product((row) => row), rounded: product(roundRow) }
}

/** Expects every token close, by the size of its largest output. */
function expectTokens(actual: Float32Array, expected: Float64Array, rows: number, relative: number): void {
  for (let at = 0; at < expected.length; at += rows) {
    const token = expected.subarray(at, at + rows)
    const largest = token.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
    expectClose(actual.subarray(at, at + rows), token, { absolute: relative * largest, relative: 0 }, `token ${at / rows}`)
  }
}

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

interface How {
  readonly tile: MatrixTile
  readonly parts?: Parts
  readonly splits?: number
  readonly unit?: MatrixUnit
  readonly tokens?: number
  /** [tokens, rows] to add the product to. */
  readonly before?: Float32Array
}

/** The outputs [tokens, rows] of the problem's first tokens; expects that nothing else was written. */
async function run(p: Problem, how: How): Promise<Float32Array> {
  const { parts = 1, splits = 1, unit = emulatedUnit(), tokens = p.tokens, before } = how
  const { rows, columns } = p
  const tile = fitTile(how.tile, unit, parts, SHARED) as MatrixTile
  const shape = { rows, columns, scale: WEIGHT_SCALE, unit, tile, parts, splits }
  const count = splitsOf(shape)
  const outStride = rows + 2 * PAD
  using x = device.upload("x", p.x)
  using weights = device.upload("weights", p.packed)
  using halves = device.createBuffer("halves", parts * tokens * pad8(columns) * 2)
  using undo = device.createBuffer("undo", tokens * 4)
  using partial = device.createBuffer("partial", count * tokens * rows * 4)
  const stands = new Float32Array((tokens + 1) * outStride).fill(GUARD)
  if (before) for (let t = 0; t < tokens; t++) stands.set(before.subarray(t * rows, (t + 1) * rows), t * outStride + PAD)
  using out = device.upload("out", stands)
  const place = { tokens, outStride, outOffset: PAD, adds: before !== undefined }
  const recorder = new Recorder(device, "matrix test")
  recorder.run(halfRows({ columns, parts, input: { kind: "plain" } }), [x, halves, undo], { tokens })
  const multiply = (into: GpuBuffer, where: MatmulParameters): void =>
    recorder.run(matmulMatrix(shape), [halves, undo, weights, into], where)
  if (count === 1) multiply(out, place)
  else {
    multiply(partial, { tokens, outStride: rows, outOffset: 0 })
    recorder.run(addSplits({ rows, splits: count }), [partial, out], place)
  }
  recorder.submit()
  const all = new Float32Array(await device.read(out))
  const result = new Float32Array(tokens * rows)
  for (let t = 0; t < tokens; t++) {
    const ours = all.subarray(t * outStride + PAD, t * outStride + PAD + rows)
    result.set(ours, t * rows)
    ours.fill(GUARD)
  }
  expect(all.every((each) => each === GUARD)).toBe(true)
  return result
}

const small = problem(17, 519, 136)
const wide = problem(40, 70, 1100)
const past = problem(129, 129, 40) // one token and one row past the largest tile

describe.each([...TILES])("a tile of %s", (_, tile) => {
  test.each([small, wide, past])("agrees with float64: $tokens x $rows x $columns", async (p) => {
    expectTokens(await run(p, { tile }), p.rounded, p.rows, CLOSE)
  })

  test("keeps f32's precision with two parts", async () => {
    for (const p of [small, wide]) expectTokens(await run(p, { tile, parts: 2 }), p.exact, p.rows, CLOSE)
  })

  test("adds splits", async () => {
    for (const splits of [2, 3, 5]) expectTokens(await run(wide, { tile, splits }), wide.rounded, wide.rows, CLOSE)
  })
})

// Both scales are powers of two, so that an adapter may join the last product and the sum.
test.each([1, 3])("adds to what stands there what it gives alone, %i splits", async (splits) => {
  const before = Float32Array.from({ length: wide.tokens * wide.rows }, (_value, i) => 100 * Math.sin(i))
  const alone = await run(wide, { tile: MATRIX_STEPS[0]!.tile, splits })
  expect(await run(wide, { tile: MATRIX_STEPS[0]!.tile, splits, before })).toEqual(before.map((value, i) => value + alone[i]!))
})

test.each([
  [16, 8, 16],
  [8, 16, 16],
  [8, 8, 8],
  [16, 8, 8],
])("matrix units of %i x %i x %i agree with float64", async (m, n, k) => {
  const how = { tile: MATRIX_STEPS[0]!.tile, unit: emulatedUnit(m, n, k) }
  expectTokens(await run(small, how), small.rounded, small.rows, CLOSE)
})

test("a rounded activation differs, so that the two parts are seen to matter", () => {
  expect(() => expectTokens(Float32Array.from(small.rounded), small.exact, small.rows, CLOSE)).toThrow("x the tolerance")
})

describe("the bits of a token", () => {
  const tiles = [...TILES.values()]

  test.each([1, 2] as const)("are the same in every tile and batch, %i parts", async (parts) => {
    const all = await run(past, { tile: tiles[0] as MatrixTile, parts })
    for (const tile of tiles) {
      for (const tokens of [16, 65, 129]) {
        expect(await run(past, { tile, parts, tokens })).toEqual(all.subarray(0, tokens * past.rows))
      }
    }
  })

  test("are the same in every tile that splits", async () => {
    const [first, second] = MATRIX_STEPS.filter(({ split }) => split).map(({ tile }) => tile)
    expect(await run(wide, { tile: first!, splits: 3 })).toEqual(await run(wide, { tile: second!, splits: 3 }))
  })

  test("do not depend on the other tokens", async () => {
    const kept = 5
    const stride = pad8(small.columns)
    const x = new Float32Array(small.x.length).fill(NaN)
    x.set(small.x.subarray(kept * stride, (kept + 1) * stride), kept * stride)
    for (const tile of tiles) {
      const at = async (p: Problem): Promise<Float32Array> =>
        (await run(p, { tile, parts: 2 })).subarray(kept * p.rows, (kept + 1) * p.rows)
      expect(await at({ ...small, x })).toEqual(await at(small))
    }
  })
})

test.each([NaN, Infinity, -Infinity])("%d in an activation shows in the outputs", async (bad) => {
  const x = small.x.slice()
  x[3 * pad8(small.columns) + 7] = bad
  for (const parts of [1, 2] as const) {
    const out = await run({ ...small, x }, { tile: MATRIX_STEPS[0]!.tile, parts })
    const row = out.subarray(3 * small.rows, 4 * small.rows)
    expect(row.some((each) => Number.isFinite(each))).toBe(false)
    expect(out.subarray(0, 3 * small.rows).every((each) => Number.isFinite(each))).toBe(true)
  }
})

test("a token of zeros gives zeros", async () => {
  const x = small.x.slice().fill(0, 0, pad8(small.columns))
  const out = await run({ ...small, x }, { tile: MATRIX_STEPS[0]!.tile, parts: 2 })
  expect(out.subarray(0, small.rows).every((each) => each === 0)).toBe(true)
})

test("tiles become shallower until they fit", () => {
  for (const { tile } of MATRIX_STEPS) {
    for (const parts of [1, 2] as const) {
      for (const bytes of [48, 32, 16].map((kib) => kib * 1024)) {
        const fitting = fitTile(tile, emulatedUnit(), parts, bytes)
        if (fitting) expect(tileBytes(fitting, emulatedUnit(), parts)).toBeLessThanOrEqual(bytes)
        else expect(bytes).toBeLessThan(32 * 1024)
      }
    }
  }
})

test("splits fill a GPU where a weight has few rows, and are never empty", () => {
  expect(chooseSplits(4096, 14336)).toBe(4)
  expect(chooseSplits(28672, 4096)).toBe(1)
  expect(chooseSplits(256, 256)).toBe(1)
  expect(splitsOf({ columns: 1100, splits: 5 })).toBe(5)
  expect(splitsOf({ columns: 130, splits: 8 })).toBe(3)
})
