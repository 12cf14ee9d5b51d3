import { positionsOf, rowsOf } from "../helpers/cache.ts"
import { beforeAll, expect, test } from "vitest"
import type { Device, GpuBuffer } from "../../src/engine/device.ts"
import { pad8 } from "../../src/kernels/kernel.ts"
import { canGate, canNorm, matmul, type MatmulEnds, type MatmulVariant } from "../../src/kernels/matmul.ts"
import { kernelShapes } from "../../src/kernels/shapes.ts"
import { siluGate } from "../../src/kernels/silu-gate.ts"
import { operationWords, steer, type SteeringOperation } from "../../src/kernels/steer.ts"
import { testDevice } from "../helpers/device.ts"
import { bitsOf, padRows, readFloats, runKernel } from "../helpers/gpu.ts"
import { expectClose, packWeights, random, roundTo } from "../helpers/numbers.ts"

const TABLES = [
  kernelShapes({ software: false, subgroups: true, subgroupMinSize: 32 }),
  kernelShapes({ software: false, subgroups: false, subgroupMinSize: 32 }),
  kernelShapes({ software: true, subgroups: true, subgroupMinSize: 8 }),
  kernelShapes({ software: true, subgroups: true, subgroupMinSize: 4 }),
]
const nameOf = (variant: MatmulVariant): string => Object.values(variant).join(" ")
const ALL = new Map(TABLES.flatMap((table) => table.matmul.map(({ variant }) => [nameOf(variant), variant])))
const NORMING = [...ALL].filter(([, variant]) => canNorm(variant))
// One of each kind: the others differ in sizes alone, and take seconds to compile on a CPU.
const KINDS = [...new Map([...ALL].map(([name, variant]) => [variant.kind, [name, variant] as const])).values()]
const GATING = KINDS.filter(([, variant]) => canGate(variant))

// Nothing divides these: 2 x 37 rows, 4 x 21 of a head, 70 columns padded to 72.
const WIDTH = 37
const ROWS = 2 * WIDTH
const COLUMNS = 70
const STRIDE = pad8(COLUMNS)
const TOKENS = 35
const EPSILON = 1e-3

const next = random(7)
const x = padRows(TOKENS, COLUMNS, () => 3 * next())
const normWeight = Float32Array.from({ length: STRIDE }, (_, i) => (i < COLUMNS ? next() : 0))
const weights = Float64Array.from({ length: ROWS * COLUMNS }, () => roundTo("bf16", next()))

/** What is multiplied, [TOKENS, COLUMNS] in float64. */
function inputs(normed: boolean): Float64Array {
  const rows = new Float64Array(TOKENS * COLUMNS)
  for (let t = 0; t < TOKENS; t++) {
    const own = Array.from(x.subarray(t * STRIDE, t * STRIDE + COLUMNS))
    const scale = 1 / Math.sqrt(own.reduce((sum, v) => sum + v * v, 0) / COLUMNS + EPSILON)
    own.forEach((v, k) => (rows[t * COLUMNS + k] = normed ? v * scale * (normWeight[k] as number) : v))
  }
  return rows
}

/** [TOKENS, ROWS] in float64. */
function product(normed: boolean): Float64Array {
  const input = inputs(normed)
  return Float64Array.from({ length: TOKENS * ROWS }, (_, i) => {
    const [t, n] = [Math.floor(i / ROWS), i % ROWS]
    let sum = 0
    for (let k = 0; k < COLUMNS; k++) sum += (input[t * COLUMNS + k] as number) * (weights[n * COLUMNS + k] as number)
    return sum
  })
}

/** [TOKENS, pad8(WIDTH)] in float64. */
function gatedProduct(normed: boolean): Float64Array {
  const sums = product(normed)
  const out = new Float64Array(TOKENS * pad8(WIDTH))
  for (let t = 0; t < TOKENS; t++) {
    for (let i = 0; i < WIDTH; i++) {
      const gate = sums[t * ROWS + i] as number
      out[t * pad8(WIDTH) + i] = (gate / (1 + Math.exp(-gate))) * (sums[t * ROWS + WIDTH + i] as number)
    }
  }
  return out
}

let device: Device
let buffers: Record<"x" | "normWeight" | "weights", GpuBuffer>
beforeAll(async () => {
  device = await testDevice()
  buffers = {
    x: device.upload("x", x),
    normWeight: device.upload("norm weight", normWeight),
    weights: device.upload("weights", packWeights(weights, ROWS, COLUMNS, "bf16")),
  }
})

/** The product with these ends into `out`. */
function multiply(variant: MatmulVariant, ends: MatmulEnds, out: GpuBuffer, others: readonly GpuBuffer[] = [], count = 0): void {
  const kernel = matmul({ rows: ROWS, columns: COLUMNS, type: "bf16", variant, ...ends })
  const outStride = pad8(ends.gated ? WIDTH : ROWS)
  runKernel(device, kernel, [buffers.x, buffers.weights, out, ...others], {
    tokens: TOKENS,
    outStride,
    outOffset: 0,
    adds: count > 0,
    count,
  })
}

const zeros = (width: number): GpuBuffer => device.createBuffer("out", TOKENS * pad8(width) * 4)
const tolerance = { absolute: 2e-5, relative: 2e-6 }

test.each(KINDS.filter(([, variant]) => canNorm(variant)))("%s norms what it multiplies", async (_, variant) => {
  using out = zeros(ROWS)
  multiply(variant, { normed: { epsilon: EPSILON } }, out, [buffers.normWeight])
  const padded = new Float64Array(TOKENS * pad8(ROWS))
  product(true).forEach((value, i) => (padded[Math.floor(i / ROWS) * pad8(ROWS) + (i % ROWS)] = value))
  expectClose(await readFloats(device, out), padded, tolerance)
})

test.each(NORMING)("%s norms what it multiplies, and gates what comes out", async (_, variant) => {
  using out = zeros(WIDTH)
  multiply(variant, { normed: { epsilon: EPSILON }, gated: true }, out, [buffers.normWeight])
  expectClose(await readFloats(device, out), gatedProduct(true), tolerance)
})

test.each(GATING)("%s gates with the bits of a product and a kernel for the gate", async (_, variant) => {
  using gated = zeros(WIDTH)
  multiply(variant, { gated: true }, gated)
  const actual = await readFloats(device, gated)
  expectClose(actual, gatedProduct(false), { absolute: 1e-4, relative: 2e-6 })

  using both = zeros(ROWS)
  using apart = zeros(WIDTH)
  multiply(variant, {}, both)
  runKernel(device, siluGate({ width: WIDTH }), [both, apart], { tokens: TOKENS })
  expect(bitsOf(actual)).toEqual(bitsOf(await readFloats(device, apart)))
})

test.each(KINDS)("%s steers with the bits of a product and a kernel that steers", async (_, variant) => {
  const batchRows = 3
  const add = (coefficient: number, first: number, end: number): SteeringOperation => {
    return { way: "add", keepLength: false, coefficient, first, end }
  }
  // Two vectors; row 1 has none at some positions, row 2 none at all.
  const operations = [add(0.7, 0, Infinity), add(-2, 3, 9), add(5, 4, 6), undefined, undefined, undefined].flatMap(operationWords)
  const tokens = Array.from({ length: TOKENS }, (_value, t) => ({ row: t % batchRows, position: Math.floor(t / batchRows) }))
  const before = Float32Array.from({ length: TOKENS * pad8(ROWS) }, (_value, i) => Math.sin(i))
  using rows = device.upload("rows", rowsOf(tokens))
  using positions = device.upload("positions", positionsOf(tokens))
  using vectors = device.upload(
    "vectors",
    padRows(2, ROWS, () => next()),
  )
  using words = device.upload("operations", Uint32Array.from(operations))
  using steered = device.upload("steered", before)
  using apart = device.upload("apart", before)

  multiply(variant, { steered: true }, steered, [rows, positions, vectors, words], 2)
  const kernel = matmul({ rows: ROWS, columns: COLUMNS, type: "bf16", variant })
  const where = { tokens: TOKENS, outStride: pad8(ROWS), outOffset: 0, adds: true }
  runKernel(device, kernel, [buffers.x, buffers.weights, apart], where)
  const unsteered = await readFloats(device, apart)
  runKernel(device, steer({ width: ROWS, addsAlone: true }), [apart, rows, positions, vectors, words], {
    tokens: TOKENS,
    count: 2,
  })

  const actual = await readFloats(device, steered)
  const changed = tokens.map((_value, t) =>
    bitsOf(actual.slice(t * pad8(ROWS), (t + 1) * pad8(ROWS))).some((bits, i) => bits !== bitsOf(unsteered)[t * pad8(ROWS) + i]),
  )
  expect(changed).toEqual(tokens.map(({ row, position }) => row === 0 || (row === 1 && position >= 4 && position < 6)))
  expectClose(actual, Float64Array.from(await readFloats(device, apart)), { absolute: 1e-6, relative: 1e-6 })
})
