import { expect, test } from "vitest"
import { embed } from "../../src/kernels/embed.ts"
import { gather } from "../../src/kernels/gather.ts"
import { bytesPerWeight, type WeightType } from "../../src/kernels/weights.ts"
import { pad8 } from "../../src/kernels/kernel.ts"
import { testDevice } from "../helpers/device.ts"
import { padRows, readFloats, runKernel } from "../helpers/gpu.ts"
import { packWeights, random, roundTo } from "../helpers/numbers.ts"

const VOCAB = 29
const GUARD = 7

const cases: readonly { type: WeightType; width: number }[] = [
  { type: "f32", width: 37 },
  { type: "f16", width: 120 },
  { type: "bf16", width: 37 },
  { type: "bf16", width: 520 },
]

test.each(cases)("embed finds rows of a $type table of width $width in either of two chunks", async ({ type, width }) => {
  const device = await testDevice()
  const next = random(width)
  const table = Array.from({ length: VOCAB }, () => Array.from({ length: width }, () => roundTo(type, next())))
  const packed = packWeights(table, VOCAB, width, type)
  const ids = [28, 0, 16, 15, 3, 15]
  const split = 16
  const wordsPerRow = (pad8(width) * bytesPerWeight[type]) / 4
  using idBuffer = device.upload("ids", Uint32Array.from(ids))
  using low = device.upload("rows below", packed.subarray(0, split * wordsPerRow))
  using high = device.upload("rows from", packed.subarray(split * wordsPerRow))
  using out = device.upload("out", new Float32Array(ids.length * pad8(width)).fill(GUARD))
  const kernel = embed({ vocab: VOCAB, width, type })

  runKernel(device, kernel, [idBuffer, high, out], { tokens: ids.length, firstRow: split, chunkRows: VOCAB - split })
  const half = await readFloats(device, out)
  const inHigh = (t: number): boolean => (ids[t] as number) >= split
  const found = padRows(ids.length, width, (t, c) => table[ids[t] as number]?.[c] as number)
  expect(half).toEqual(found.map((x, i) => (inHigh(Math.floor(i / pad8(width))) ? x : GUARD)))

  runKernel(device, kernel, [idBuffer, low, out], { tokens: ids.length, firstRow: 0, chunkRows: split })
  expect(await readFloats(device, out)).toEqual(found)
})

test.each([37, 120, 520])("gather copies chosen rows of width %i", async (width) => {
  const device = await testDevice()
  const next = random(width)
  const x = padRows(5, width, next)
  const index = [4, 0, 4, 2]
  using input = device.upload("x", x)
  using indexBuffer = device.upload("index", Uint32Array.from(index))
  using out = device.createBuffer("out", index.length * pad8(width) * 4)
  runKernel(device, gather({ width }), [input, indexBuffer, out], { count: index.length })
  const expected = padRows(index.length, width, (i, c) => x[(index[i] as number) * pad8(width) + c] as number)
  expect(await readFloats(device, out)).toEqual(expected)
})
