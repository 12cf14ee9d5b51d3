import { expect, test } from "vitest"
import { pad8 } from "../../src/kernels/kernel.ts"
import { rotary } from "../../src/kernels/rotary.ts"
import {
  batchRows,
  capacity,
  headShapes,
  raggedTokens,
  randomFloats,
  type HeadShape,
  type Token,
  positionsOf,
  rowsOf,
} from "../helpers/cache.ts"
import { testDevice } from "../helpers/device.ts"
import { bitsOf, padRows, readFloats, rowOf, runKernel } from "../helpers/gpu.ts"
import { expectClose, random } from "../helpers/numbers.ts"

const GUARD = 9 // in every slot of the caches before

/** (cos, sin) of some angle for each position and pair. */
function angleTable(headDim: number): Float32Array {
  const angles = randomFloats((capacity * headDim) / 2, headDim, Math.PI)
  return Float32Array.from({ length: capacity * headDim }, (_, i) => {
    const angle = angles[i >> 1] as number
    return i % 2 === 0 ? Math.cos(angle) : Math.sin(angle)
  })
}

const widthOf = ({ heads, kvHeads, headDim }: HeadShape): number => (heads + 2 * kvHeads) * headDim

interface Result<Numbers> {
  readonly qkv: Numbers
  readonly keys: Numbers
  readonly values: Numbers
}

/** Token by token, head by head, in float64. */
function reference(shape: HeadShape, tokens: readonly Token[], qkv: Float32Array, table: Float32Array): Result<Float64Array> {
  const { heads, kvHeads, headDim } = shape
  const half = headDim / 2
  const out = Float64Array.from(qkv)
  const keys = new Float64Array(batchRows * capacity * kvHeads * headDim).fill(GUARD)
  const values = keys.slice()
  tokens.forEach(({ row, position }, t) => {
    const start = t * pad8(widthOf(shape))
    for (let head = 0; head < heads + kvHeads; head++) {
      for (let i = 0; i < half; i++) {
        const low = start + head * headDim + i
        const [cos, sin] = table.subarray((position * half + i) * 2) as unknown as [number, number]
        const [a, b] = [qkv[low] as number, qkv[low + half] as number]
        out[low] = a * cos - b * sin
        out[low + half] = b * cos + a * sin
      }
    }
    const slot = (row * capacity + position) * kvHeads * headDim
    const firstKey = start + heads * headDim
    const firstValue = firstKey + kvHeads * headDim
    keys.set(out.subarray(firstKey, firstValue), slot)
    values.set(out.subarray(firstValue, firstValue + kvHeads * headDim), slot)
  })
  return { qkv: out, keys, values }
}

async function run(
  shape: HeadShape,
  tokens: readonly Token[],
  qkv: Float32Array,
  table: Float32Array,
): Promise<Result<Float32Array>> {
  const device = await testDevice()
  const empty = new Float32Array(batchRows * capacity * shape.kvHeads * shape.headDim).fill(GUARD)
  using qkvBuffer = device.upload("qkv", qkv)
  using keys = device.upload("keys", empty)
  using values = device.upload("values", empty)
  using rows = device.upload("rows", rowsOf(tokens))
  using positions = device.upload("positions", positionsOf(tokens))
  using tableBuffer = device.upload("table", table)
  const buffers = [qkvBuffer, keys, values, rows, positions, tableBuffer]
  runKernel(device, rotary(shape), buffers, { tokens: tokens.length, capacity })
  return {
    qkv: await readFloats(device, qkvBuffer),
    keys: await readFloats(device, keys),
    values: await readFloats(device, values),
  }
}

test.each(headShapes)(
  "$heads heads on $kvHeads of $headDim: rotates, fills its slots of the cache, touches no other",
  async (shape) => {
    const qkv = padRows(raggedTokens.length, widthOf(shape), random(1))
    const table = angleTable(shape.headDim)
    const found = await run(shape, raggedTokens, qkv, table)
    const expected = reference(shape, raggedTokens, qkv, table)
    const tolerance = { absolute: 2e-7, relative: 1e-6 }
    expectClose(found.qkv, expected.qkv, tolerance, "qkv")
    expectClose(found.keys, expected.keys, tolerance, "keys")
    expectClose(found.values, expected.values, { absolute: 0, relative: 1e-30 }, "values")
  },
)

test("a token's bits do not depend on the others", async () => {
  const shape = { heads: 6, kvHeads: 2, headDim: 20 }
  const width = widthOf(shape)
  const qkv = padRows(raggedTokens.length, width, random(2))
  const table = angleTable(shape.headDim)
  const together = await run(shape, raggedTokens, qkv, table)
  for (const t of [0, 5, 13]) {
    const alone = await run(shape, raggedTokens.slice(t, t + 1), rowOf(qkv, t, width), table)
    expect(bitsOf(alone.qkv)).toEqual(bitsOf(rowOf(together.qkv, t, width)))
  }
})
