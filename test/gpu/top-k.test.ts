import { expect, test } from "vitest"
import { addBias } from "../../src/kernels/add-bias.ts"
import { pad8 } from "../../src/kernels/kernel.ts"
import { sparseSum } from "../../src/kernels/sparse-sum.ts"
import { topK } from "../../src/kernels/top-k.ts"
import { bytesPerWeight, type WeightType } from "../../src/kernels/weights.ts"
import { testDevice } from "../helpers/device.ts"
import { padRows, readFloats, runKernel } from "../helpers/gpu.ts"
import { expectClose, packWeights, random, roundTo } from "../helpers/numbers.ts"

const ROWS = 5

/** [index, value] of the k largest positive numbers, the first of equal ones, in ascending order; filled up with [0, 0]. */
function largest(row: Float32Array, k: number): [number, number][] {
  const positive = [...row.entries()].filter(([, x]) => x > 0).sort(([i, a], [j, b]) => b - a || i - j)
  const kept = positive.slice(0, k).sort(([i], [j]) => i - j)
  return [...kept, ...Array.from({ length: k - kept.length }, (): [number, number] => [0, 0])]
}

const fill: Readonly<Record<string, (next: () => number, i: number) => number>> = {
  "random numbers": (next) => next(),
  "many ties": (next) => Math.max(0, Math.round(4 * next())),
  "one value everywhere": () => 0.5,
  "few positive numbers": (next, i) => (i % 97 === 5 ? 1 + next() : 0),
  "no positive number": (next, i) => (i % 2 === 0 ? -0 : next() - 1),
  "numbers of all sizes": (next, i) => next() * 2 ** ((i % 250) - 130),
}

const shapes = [
  { width: 519, k: 7, lanes: 8 },
  { width: 519, k: 7, lanes: 256 },
  { width: 37, k: 37, lanes: 256 },
  { width: 1024, k: 192, lanes: 8 },
  { width: 1, k: 1, lanes: 256 },
]
const cases = shapes.flatMap((shape) => Object.keys(fill).map((kind) => ({ ...shape, kind })))

test.each(cases)("the $k largest of $width, with $lanes lanes: $kind", async ({ width, k, lanes, kind }) => {
  const device = await testDevice()
  const next = random(width + k)
  const rows = Array.from({ length: ROWS }, () => Float32Array.from({ length: width }, (_, i) => fill[kind]?.(next, i) as number))
  const stride = pad8(width)
  const x = new Float32Array(ROWS * stride).fill(Infinity) // what lies beyond the width is never looked at
  for (const [r, row] of rows.entries()) x.set(row, r * stride)
  using input = device.upload("x", x)
  using indices = device.upload("indices", new Uint32Array(ROWS * k).fill(4711))
  using values = device.upload("values", new Float32Array(ROWS * k).fill(NaN))
  runKernel(device, topK({ width, k, lanes }), [input, indices, values], { rows: ROWS })
  const expected = rows.map((row) => largest(row, k)).flat()
  expect([...new Uint32Array(await device.read(indices, ROWS * k * 4))]).toEqual(expected.map(([i]) => i))
  expect([...(await readFloats(device, values, ROWS * k))]).toEqual(expected.map(([, v]) => v))
})

test.each([
  { width: 37, rectify: false },
  { width: 519, rectify: true },
])("a bias [$width] in every row, rectified: $rectify", async ({ width, rectify }) => {
  const device = await testDevice()
  const x = padRows(ROWS, width, random(1))
  const bias = padRows(1, width, random(2))
  using buffer = device.upload("x", x)
  using biasBuffer = device.upload("bias", bias)
  runKernel(device, addBias({ width, rectify }), [buffer, biasBuffer], { rows: ROWS })
  const expected = x.map((value, i) => {
    const sum = value + (bias[i % pad8(width)] as number)
    return rectify ? Math.max(sum, 0) : sum
  })
  expect(await readFloats(device, buffer)).toEqual(expected)
})

const sums: readonly { type: WeightType; width: number }[] = [
  { type: "f32", width: 37 },
  { type: "f16", width: 520 },
  { type: "bf16", width: 37 },
]

test.each(sums)("sparse sums of $type rows of width $width, in one chunk or two with the same bits", async ({ type, width }) => {
  const device = await testDevice()
  const [latents, k, split] = [519, 7, 256]
  const next = random(width)
  const table = Array.from({ length: latents }, () => Array.from({ length: width }, () => roundTo(type, next())))
  const index = Array.from({ length: ROWS }, () => [0, 3, 255, 256, 400, 518, 0]).flat()
  const factors = Float32Array.from(index, (_, i) => (i % k === k - 1 ? 0 : next()))
  const start = padRows(ROWS, width, next)
  const packed = packWeights(table, latents, width, type)
  const words = (pad8(width) * bytesPerWeight[type]) / 4
  using indices = device.upload("indices", Uint32Array.from(index))
  using values = device.upload("values", factors)
  using all = device.upload("weights", packed)
  using low = device.upload("first weights", packed.subarray(0, split * words))
  using high = device.upload("other weights", packed.subarray(split * words))
  using whole = device.upload("sum", start)
  using pieces = device.upload("sum in pieces", start)
  const kernel = sparseSum({ width, k, type })
  runKernel(device, kernel, [indices, values, all, whole], { rows: ROWS, firstRow: 0, chunkRows: latents })
  runKernel(device, kernel, [indices, values, low, pieces], { rows: ROWS, firstRow: 0, chunkRows: split })
  runKernel(device, kernel, [indices, values, high, pieces], { rows: ROWS, firstRow: split, chunkRows: latents - split })

  const expected = Float64Array.from(start)
  for (const [i, latent] of index.entries()) {
    const at = Math.floor(i / k) * pad8(width)
    for (let c = 0; c < width; c++) expected[at + c]! += (factors[i] as number) * (table[latent]?.[c] as number)
  }
  const sum = await readFloats(device, whole)
  expectClose(sum, expected, { absolute: 1e-5, relative: 1e-5 })
  expect(await readFloats(device, pieces)).toEqual(sum)
})
