import { expect, test } from "vitest"
import { Recorder } from "../../src/engine/recorder.ts"
import { pad8 } from "../../src/kernels/kernel.ts"
import { matmul, type MatmulVariant } from "../../src/kernels/matmul.ts"
import { chooseMatmul, kernelShapes } from "../../src/kernels/shapes.ts"
import type { WeightType } from "../../src/kernels/weights.ts"
import { testDevice } from "../helpers/device.ts"
import { expectClose, packWeights, random, roundTo } from "../helpers/numbers.ts"

const GUARD = 12345
const PAD = 5 // columns of the output that belong to others, on either side

interface Problem {
  readonly rows: number
  readonly columns: number
  readonly type: WeightType
  readonly x: Float32Array
  readonly weights: Float64Array
}

function problem(rows: number, columns: number, tokens: number, type: WeightType): Problem {
  const next = random(rows * 31 + columns)
  const stride = pad8(columns)
  const x = new Float32Array(tokens * stride)
  for (let t = 0; t < tokens; t++) for (let k = 0; k < columns; k++) x[t * stride + k] = next()
  const weights = Float64Array.from({ length: rows * columns }, () => roundTo(type, next()))
  return { rows, columns, type, x, weights }
}

/** [tokens, rows] in float64, token by token. */
function reference({ rows, columns, x, weights }: Problem, tokens: number): Float64Array {
  const stride = pad8(columns)
  const out = new Float64Array(tokens * rows)
  for (let t = 0; t < tokens; t++) {
    for (let n = 0; n < rows; n++) {
      let sum = 0
      for (let k = 0; k < columns; k++) sum += (x[t * stride + k] as number) * (weights[n * columns + k] as number)
      out[t * rows + n] = sum
    }
  }
  return out
}

/** [tokens, rows] from the GPU, for the problem's first `tokens` tokens. Checks that nothing else was written. */
async function run(p: Problem, tokens: number, variant: MatmulVariant, x: Float32Array = p.x): Promise<Float32Array> {
  const device = await testDevice()
  const outStride = p.rows + 2 * PAD
  using input = device.upload("x", x.subarray(0, tokens * pad8(p.columns)))
  using weights = device.upload("weights", packWeights(p.weights, p.rows, p.columns, p.type))
  using out = device.upload("out", new Float32Array(tokens * outStride).fill(GUARD))
  const recorder = new Recorder(device, "matmul test")
  recorder.run(matmul({ ...p, variant }), [input, weights, out], { tokens, outStride, outOffset: PAD })
  recorder.submit()
  const all = new Float32Array(await device.read(out))
  const result = new Float32Array(tokens * p.rows)
  for (let t = 0; t < tokens; t++) {
    const row = all.subarray(t * outStride, (t + 1) * outStride)
    result.set(row.subarray(PAD, PAD + p.rows), t * p.rows)
    expect([...row.subarray(0, PAD), ...row.subarray(PAD + p.rows)]).toEqual(Array(2 * PAD).fill(GUARD))
  }
  return result
}

const SIZES = [[519, 120], [37, 704], [40, 37]] as const
const COUNTS = [1, 2, 3, 7, 8, 9, 33, 65, 130]
const TYPES: readonly WeightType[] = ["f32", "f16", "bf16"]

const tables = { software: kernelShapes({ software: true, subgroups: true }) }

test.each(TYPES)("%s", async (type) => {
  for (const [rows, columns] of SIZES) {
    const p = problem(rows, columns, 130, type)
    const expected = reference(p, 130)
    for (const tokens of COUNTS) {
      const variant = chooseMatmul(tables.software, tokens)
      const actual = await run(p, tokens, variant)
      expectClose(actual, expected.subarray(0, tokens * rows), { absolute: 2e-5, relative: 2e-5 }, `${rows}x${columns} ${tokens}`)
    }
  }
})
