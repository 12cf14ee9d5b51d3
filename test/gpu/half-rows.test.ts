import { beforeAll, describe, expect, test } from "vitest"
import type { Device } from "../../src/engine/device.ts"
import { halfRows, type RowsInput } from "../../src/kernels/half-rows.ts"
import { pad8 } from "../../src/kernels/kernel.ts"
import { rmsNorm } from "../../src/kernels/rms-norm.ts"
import { siluGate } from "../../src/kernels/silu-gate.ts"
import { testDevice } from "../helpers/device.ts"
import { padRows, readFloats, runKernel } from "../helpers/gpu.ts"
import { expectClose, random, unpackHalves } from "../helpers/numbers.ts"

const EPSILON = 1e-5
const SIZES = [1, 3e-3, 0, 400, 1e-6] // of a token's numbers: the third is all zeros
const EXTREME = [0, -0, 20, -20, 88, -88, 1e4, -1e4] // gates: the first columns of token 0
const GARBAGE = 0x3c003c00 // what stands in the outputs before
const KEPT = 3 // the token that stays as it is while the others change

interface Rows {
  /** [2, tokens, pad8(columns)] */
  readonly halves: Uint32Array
  readonly undo: Float32Array
}

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

/** Rows in two parts. */
async function convert(arrays: readonly Float32Array[], columns: number, input: RowsInput): Promise<Rows> {
  const tokens = arrays[0]!.length / pad8(input.kind === "gate" ? 2 * columns : columns)
  const words = tokens * pad8(columns)
  const inputs = arrays.map((each) => device.upload("input", each))
  using halves = device.upload("halves", new Uint32Array(words).fill(GARBAGE))
  using undo = device.upload("undo", new Uint32Array(tokens).fill(GARBAGE))
  runKernel(device, halfRows({ columns, parts: 2, input }), [...inputs, halves, undo], { tokens })
  const rows = {
    halves: new Uint32Array(await device.read(halves, words * 4)),
    undo: await readFloats(device, undo, tokens),
  }
  for (const each of inputs) each.dispose()
  return rows
}

/** The rows that both parts hold together, [tokens, pad8(columns)]. */
function together({ halves, undo }: Rows): number[] {
  const numbers = unpackHalves(halves)
  const half = numbers.length / 2
  const stride = half / undo.length
  return numbers.slice(0, half).map((high, i) => (high + numbers[half + i]!) * undo[Math.floor(i / stride)]!)
}

test("a row in two parts keeps 22 bits of its largest activation's scale", async () => {
  const columns = 24
  const next = random(5)
  const sizes = [1e-20, 1, 3e20, 0]
  const x = padRows(sizes.length, columns, (t) => next() * sizes[t]!)
  const rows = await convert([x], columns, { kind: "plain" })
  const parts = unpackHalves(rows.halves)
  const values = together(rows)
  for (const [i, value] of x.entries()) {
    const token = x.subarray(i - (i % columns), i - (i % columns) + columns)
    const largest = token.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
    const [high, low] = [parts[i]!, parts[x.length + i]!]
    expect(Math.abs(values[i]! - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -22 + largest * 2 ** -38)
    expect(Math.abs(low)).toBeLessThanOrEqual(Math.abs(high) * 2 ** -11 + 2 ** -25)
  }
})

// One width for each size of vector that divides it, none a multiple of 8; the last is shared by more lanes.
describe.each([37, 90, 1100])("rows of %i columns", (columns) => {
  const next = random(columns)
  const x = padRows(SIZES.length, columns, (t) => SIZES[t]! * next())
  const weight = padRows(1, columns, next)
  const gateUp = padRows(SIZES.length, 2 * columns, (t, c) => (t === 0 ? (EXTREME[c] ?? next()) : 6 * SIZES[t]! * next()))
  const stride = pad8(columns)

  const normed = (t: number, c: number): number => {
    const meanSquare = x.subarray(t * stride, (t + 1) * stride).reduce((sum, v) => sum + v * v, 0) / columns
    return (x[t * stride + c]! / Math.sqrt(meanSquare + EPSILON)) * weight[c]!
  }
  const gated = (t: number, c: number): number => {
    const [gate, up] = [gateUp[t * pad8(2 * columns) + c]!, gateUp[t * pad8(2 * columns) + columns + c]!]
    return (gate / (1 + Math.exp(-gate))) * up
  }

  // A kernel that makes the same rows alone, and its tolerance.
  const KINDS = [
    {
      input: { kind: "norm", epsilon: EPSILON },
      arrays: [x, weight],
      kernel: rmsNorm({ width: columns, epsilon: EPSILON }),
      expected: normed,
      relative: 3e-6,
    },
    { input: { kind: "gate" }, arrays: [gateUp], kernel: siluGate({ width: columns }), expected: gated, relative: 1e-5 },
  ] as const

  test.each(KINDS)("have the bits that a kernel of its own gives: $input.kind", async ({ input, arrays, kernel }) => {
    const inputs = arrays.map((each) => device.upload("input", each))
    using out = device.createBuffer("out", x.byteLength)
    runKernel(device, kernel, [...inputs, out], { tokens: SIZES.length })
    const apart = await convert([await readFloats(device, out)], columns, { kind: "plain" })
    expect(await convert(arrays, columns, input)).toEqual(apart)
    for (const each of inputs) each.dispose()
  })

  test.each(KINDS)("agree with float64: $input.kind", async ({ input, arrays, expected, relative }) => {
    const actual = together(await convert(arrays, columns, input))
    for (let t = 0; t < SIZES.length; t++) {
      const row = Float64Array.from({ length: stride }, (_, c) => (c < columns ? expected(t, c) : 0))
      const halves = row.reduce((a, b) => Math.max(a, Math.abs(b)), 0) * 2 ** -38
      const tolerance = { absolute: 1e-7 + halves, relative }
      expectClose(actual.slice(t * stride, (t + 1) * stride), row, tolerance, `token ${t}`)
    }
  })

  test.each(KINDS)("do not depend on other rows: $input.kind", async ({ input, arrays }) => {
    const [rows, ...others] = arrays
    const bad = new Float32Array(rows.length).fill(NaN)
    const [from, end] = [KEPT, KEPT + 1].map((t) => (t * rows.length) / SIZES.length)
    bad.set(rows.subarray(from, end), from)
    const [all, one] = [await convert(arrays, columns, input), await convert([bad, ...others], columns, input)]
    for (const part of [0, SIZES.length]) {
      const [first, last] = [part + KEPT, part + KEPT + 1].map((t) => (t * stride) / 2)
      expect(one.halves.subarray(first, last)).toEqual(all.halves.subarray(first, last))
    }
    expect(one.undo[KEPT]).toBe(all.undo[KEPT])
  })
})
