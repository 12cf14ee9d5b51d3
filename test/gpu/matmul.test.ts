import { beforeAll, describe, expect, test } from "vitest"
import type { Device, GpuBuffer } from "../../src/engine/device.ts"
import { Recorder } from "../../src/engine/recorder.ts"
import { pad8 } from "../../src/kernels/kernel.ts"
import { matmul, type MatmulVariant } from "../../src/kernels/matmul.ts"
import { kernelShapes } from "../../src/kernels/shapes.ts"
import type { WeightType } from "../../src/kernels/weights.ts"
import { testDevice } from "../helpers/device.ts"
import { expectClose, packWeights, random, roundTo } from "../helpers/numbers.ts"

const TABLES = {
  "GPU": kernelShapes({ software: false, subgroups: true, subgroupMinSize: 32 }),
  "GPU without subgroups": kernelShapes({ software: false, subgroups: false, subgroupMinSize: 32 }),
  "software": kernelShapes({ software: true, subgroups: true, subgroupMinSize: 8 }),
  "software, narrow subgroups": kernelShapes({ software: true, subgroups: true, subgroupMinSize: 4 }),
}
const nameOf = (variant: MatmulVariant): string => Object.values(variant).join(" ")
const ALL = new Map(Object.values(TABLES).flatMap((table) => table.matmul.map(({ variant }) => [nameOf(variant), variant])))
// One of each kind.
const KINDS = [...new Map([...ALL].map(([name, variant]) => [variant.kind, [name, variant] as const])).values()]

// Variants that add a token's products in the same order.
const order = (variant: MatmulVariant): string => {
  if (variant.kind !== "reduce") return "one column after the other"
  return `lanes share the columns, ${variant.subgroups ? "subgroups" : "rounds"} add their sums`
}
const ORDERS = [...new Set([...ALL.values()].map(order))]

const TYPES: readonly WeightType[] = ["f32", "f16", "bf16"]
const SIZES = [
  [519, 120],
  [37, 704],
  [40, 37],
] as const
const TOKENS = 130
const COUNTS = [1, 2, 3, 7, 8, 9, 33, 65, TOKENS]

const PAD = 5 // columns on either side of the outputs that belong to others
const GUARD = 12345

interface Problem {
  readonly rows: number
  readonly columns: number
  readonly type: WeightType
  readonly x: Float32Array<ArrayBuffer>
  readonly packed: Uint32Array<ArrayBuffer>
  /** [TOKENS, rows], in float64. */
  readonly expected: Float64Array
}

function problem(rows: number, columns: number, type: WeightType): Problem {
  const next = random(rows * 31 + columns)
  const stride = pad8(columns)
  const x = new Float32Array(TOKENS * stride)
  for (let t = 0; t < TOKENS; t++) for (let k = 0; k < columns; k++) x[t * stride + k] = next()
  const weights = Float64Array.from({ length: rows * columns }, () => roundTo(type, next()))
  const expected = new Float64Array(TOKENS * rows)
  for (let t = 0; t < TOKENS; t++) {
    for (let n = 0; n < rows; n++) {
      let sum = 0
      for (let k = 0; k < columns; k++) sum += (x[t * stride + k] as number) * (weights[n * columns + k] as number)
      expected[t * rows + n] = sum
    }
  }
  return { rows, columns, type, x, packed: packWeights(weights, rows, columns, type), expected }
}

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

/** Dispatches on the problem's first tokens; gives the outputs [tokens, rows] and expects that nothing else was written. */
async function run(p: Problem, variant: MatmulVariant, tokens: number, x: GpuBuffer, weights: GpuBuffer): Promise<Float32Array> {
  const outStride = p.rows + 2 * PAD
  using out = device.upload("out", new Float32Array((tokens + 1) * outStride).fill(GUARD))
  const recorder = new Recorder(device, "matmul test")
  recorder.run(matmul({ ...p, variant }), [x, weights, out], { tokens, outStride, outOffset: PAD })
  recorder.submit()
  const all = new Float32Array(await device.read(out))
  const result = new Float32Array(tokens * p.rows)
  for (let t = 0; t < tokens; t++) {
    const ours = all.subarray(t * outStride + PAD, t * outStride + PAD + p.rows)
    result.set(ours, t * p.rows)
    ours.fill(GUARD)
  }
  expect(all.every((each) => each === GUARD)).toBe(true)
  return result
}

describe.each(TYPES)("%s", (type) => {
  const problems = SIZES.map(([rows, columns]) => problem(rows, columns, type))

  // The types differ in how weights are unpacked: one variant of a kind shows it, and a GPU's take a CPU driver long to compile.
  test.each(type === "bf16" ? [...ALL] : KINDS)("%s agrees with float64", async (_, variant) => {
    for (const p of problems) {
      using x = device.upload("x", p.x)
      using weights = device.upload("weights", p.packed)
      for (const tokens of [7, TOKENS]) {
        const actual = await run(p, variant, tokens, x, weights)
        const what = `[${tokens}, ${p.columns}] x [${p.columns}, ${p.rows}]`
        expectClose(actual, p.expected.subarray(0, actual.length), { absolute: 2e-5, relative: 2e-6 }, what)
      }
    }
  })
})

test.each([...ALL])("%s adds to what stands there", async (_, variant) => {
  const p = problem(37, 120, "bf16")
  using x = device.upload("x", p.x)
  using weights = device.upload("weights", p.packed)
  const alone = await run(p, variant, 7, x, weights)
  const outStride = p.rows + 2 * PAD
  const before = Float32Array.from({ length: 7 * outStride }, (_value, i) => Math.sin(i))
  using out = device.upload("out", before)
  const recorder = new Recorder(device, "matmul test")
  recorder.run(matmul({ ...p, variant }), [x, weights, out], { tokens: 7, outStride, outOffset: PAD, adds: true })
  recorder.submit()
  const expected = before.map((value, i) => {
    const [token, row] = [Math.floor(i / outStride), (i % outStride) - PAD]
    return row < 0 || row >= p.rows ? value : value + alone[token * p.rows + row]!
  })
  expect(new Float32Array(await device.read(out))).toEqual(expected)
})

describe("the bits of a token", () => {
  const p = problem(519, 120, "bf16")

  test.each(ORDERS)("are the same in every batch: %s", async (name) => {
    using x = device.upload("x", p.x)
    using weights = device.upload("weights", p.packed)
    const variants = [...ALL.values()].filter((variant) => order(variant) === name)
    const all = await run(p, variants.at(-1)!, TOKENS, x, weights)
    for (const variant of variants) {
      for (const tokens of COUNTS) {
        const actual = await run(p, variant, tokens, x, weights)
        expect(actual, `${nameOf(variant)}, ${tokens} tokens`).toEqual(all.subarray(0, tokens * p.rows))
      }
    }
  })

  test.each([...ALL])("do not depend on the other tokens: %s", async (_, variant) => {
    const kept = 5
    const stride = pad8(p.columns)
    const others = new Float32Array(p.x.length).fill(NaN)
    others.set(p.x.subarray(kept * stride, (kept + 1) * stride), kept * stride)
    using x = device.upload("x", p.x)
    using changed = device.upload("x, changed", others)
    using weights = device.upload("weights", p.packed)
    const bits = async (input: GpuBuffer): Promise<Float32Array> =>
      (await run(p, variant, 9, input, weights)).subarray(kept * p.rows, (kept + 1) * p.rows)
    expect(await bits(changed)).toEqual(await bits(x))
  })
})

test("the table's last step serves any number of tokens", () => {
  for (const table of Object.values(TABLES)) {
    const counts = table.matmul.map(({ upTo }) => upTo)
    expect(counts).toEqual(counts.toSorted((a, b) => a - b))
    expect(counts.at(-1)).toBe(Infinity)
  }
})

test("a vocabulary of 128256 and 8192 tokens fit the dispatch limits", () => {
  for (const variant of ALL.values()) {
    const kernel = matmul({ rows: 128256, columns: 4096, type: "bf16", variant })
    const grid = kernel.grid({ tokens: 8192, outStride: 128256, outOffset: 0 })
    expect(Math.max(...grid)).toBeLessThanOrEqual(65535)
  }
})
