import { spawnSync } from "node:child_process"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { create } from "webgpu"
import { describe, expect, test } from "vitest"
import { compareMade } from "../../scripts/bench/agreement.ts"
import {
  configName,
  decodeResults,
  type MatrixConfig,
  matrixData,
  MATRIX_FEATURE,
  matrixKernel,
  type MatrixType,
  multiplyAdds,
} from "../../scripts/bench/card/matrices.ts"
import { kernelLines, kernelsOf } from "../../scripts/bench/kernels.ts"
import { compareLogits } from "../../scripts/bench/logits.ts"
import { columns, digits, median, withPrefix } from "../../scripts/bench/numbers.ts"
import { attentionWork, generationPasses, workOf } from "../../scripts/bench/work.ts"
import { configOf } from "../../scripts/checkpoint/shapes.ts"
import { parseCounts, parseScript } from "../../scripts/program.ts"
import { parseConfig } from "../../src/engine/config.ts"
import { InputError } from "../../src/index.ts"
import type { Kernel } from "../../src/kernels/kernel.ts"
import { matmul } from "../../src/kernels/matmul.ts"

const config = parseConfig(configOf("tiny"), undefined, "tiny")

// What adapters are known to offer: NVIDIA's f16 and 8-bit shapes, Apple's 8x8x8.
const CONFIGS: readonly (readonly [MatrixType, MatrixType, number, number, number])[] = [
  ["f16", "f32", 16, 16, 16],
  ["f16", "f16", 16, 16, 16],
  ["f16", "f32", 16, 8, 16],
  ["f16", "f16", 16, 8, 8],
  ["f32", "f32", 8, 8, 8],
  ["i8", "i32", 16, 16, 32],
  ["u8", "u32", 16, 16, 32],
]
const configs = CONFIGS.map(([componentType, resultComponentType, M, N, K]): MatrixConfig => {
  return { componentType, resultComponentType, M, N, K }
})

/** What Dawn's null backend has against a kernel: it validates shaders and pipelines and computes nothing. */
async function complaints({ code, bindings }: Pick<Kernel, "code" | "bindings">): Promise<string[]> {
  const instance = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"])
  ;((globalThis as { redlineDawn?: GPU[] }).redlineDawn ??= []).push(instance) // collected, it would abort the process
  const adapter = (await instance.requestAdapter()) as GPUAdapter
  const requiredFeatures = [MATRIX_FEATURE, "subgroups", "shader-f16"] as GPUFeatureName[]
  const device = await adapter.requestDevice({ requiredFeatures })
  device.pushErrorScope("validation")
  const module = device.createShaderModule({ code })
  const { messages } = await module.getCompilationInfo()
  const types = [...bindings.map((access) => (access === "read" ? "read-only-storage" : "storage")), "uniform"]
  const entries = types.map((type, binding) => {
    return { binding, visibility: 4, buffer: { type: type as GPUBufferBindingType } }
  })
  const layout = device.createPipelineLayout({ bindGroupLayouts: [device.createBindGroupLayout({ entries })] })
  device.createComputePipeline({ layout, compute: { module, entryPoint: "main" } })
  const error = await device.popErrorScope()
  device.destroy()
  return [...messages.map(({ lineNum, message }) => `${lineNum}: ${message}`), ...(error ? [error.message] : [])]
}

describe("the matrix shader", () => {
  test.for(configs.map((each) => [configName(each), each] as const))("for %s compiles without a GPU", async ([, each]) => {
    expect(await complaints(matrixKernel(each, 32, 32))).toEqual([])
  })

  test("would be refused if its matrices did not fit", async () => {
    const kernel = matrixKernel(configs[0] as MatrixConfig, 32, 32)
    const code = kernel.code.replace("subgroup_matrix_right<f16, 16, 16>", "subgroup_matrix_right<f16, 8, 16>")
    expect(code).not.toBe(kernel.code)
    expect(await complaints({ ...kernel, code })).not.toEqual([])
  })

  test.for(configs.map((each) => [configName(each), each] as const))("has data for %s whose sums are exact", ([, each]) => {
    const { lefts, rights, products, rounds } = matrixData(each)
    const { componentType: type, resultComponentType: result, M, N, K } = each
    const [left, right] = [lefts, rights].map((bytes) => decodeResults(type === "u8" ? "i8" : type, bytes.slice().buffer))
    expect([left?.length, right?.length, products.length]).toEqual([2 * M * K, 2 * K * N, 4 * M * N])
    // The second left times the second right, row 3, column 5.
    let sum = 0
    for (let k = 0; k < K; k++) sum += (left?.[(M + 3) * K + k] ?? NaN) * (right?.[(K + k) * N + 5] ?? NaN)
    expect(products[(3 * M + 3) * N + 5]).toBe(sum)
    const largest = Math.max(...products.map(Math.abs))
    expect(rounds * largest).toBeLessThanOrEqual(result === "f16" ? 2048 : 2 ** 24)
    expect(rounds).toBeGreaterThan(64)
    expect(new Set(products).size).toBeGreaterThan(2)
    expect(multiplyAdds(each)).toBe(4 * M * N * K)
  })

  test("reads f16 results", () => {
    const halves = Uint16Array.from([0x3c00, 0xc000, 0x6800, 0, 0x0001])
    expect(Array.from(decodeResults("f16", halves.buffer))).toEqual([1, -2, 2048, 0, 2 ** -24])
  })
})

describe("work", () => {
  test("of a matrix product follows from what the kernel was given", () => {
    const kernel = matmul({ rows: 704, columns: 128, type: "bf16", variant: { kind: "broadcast" } })
    const p = { tokens: 8, outStride: 704, outOffset: 0 }
    const dispatch = { label: kernel.label, grid: kernel.grid(p), parameters: kernel.parameters(p), sizes: [0, 704 * 128 * 2, 0] }
    const work = { bytes: 704 * 128 * 2 + 4 * 8 * (704 + 128), flops: 2 * 8 * 704 * 128 }
    expect(workOf(dispatch, config)).toEqual({ over: "[704, 128] x 8", work })
    expect(workOf({ ...dispatch, sizes: [0, 1234, 0] }, config).work).toBeUndefined()
  })

  test("of attention is that of every token with itself and all before it", () => {
    const { layers, heads, kvHeads, headDim } = config
    const passes = generationPasses(2, 5, 4)
    let [pairs, bytes] = [0, 0]
    for (let token = 0; token < 5 + 3; token++) pairs += 2 * (token + 1)
    for (const [keys, count] of [
      [5, 5],
      [6, 1],
      [7, 1],
      [8, 1],
    ] as const)
      bytes += 4 * 2 * headDim * (2 * keys * kvHeads + 2 * count * heads)
    expect(attentionWork(config, passes)).toEqual({ flops: 4 * layers * heads * headDim * pairs, bytes: layers * bytes })
  })
})

test("kernels are added up by shape and set beside the ceilings", () => {
  const time = { label: "residual", grid: [1, 1, 1], parameters: [(4 * 128) / 4], sizes: [], dispatches: 3, total: 2 } as const
  const other = { label: "new kernel", grid: [2, 3, 1], parameters: [], sizes: [4], dispatches: 1, total: 6 } as const
  const ceilings = { bytes: 1e9, f32: 1e9, matrices: undefined, from: "a test" }
  const kernels = kernelsOf([time, time, other], config, undefined, ceilings)
  expect(kernels.seconds).toBeCloseTo(0.01)
  const [first, second] = kernels.rows
  expect(first).toMatchObject({ kernel: "new kernel x 3", share: 0.6, bytes: undefined, ofCeiling: undefined })
  const bytes = 6 * 4 * 3 * 128 * 4
  expect(second).toMatchObject({ kernel: "residual x 4", dispatches: 6, bytes, flopsPerSecond: undefined })
  expect(second?.bytesPerSecond).toBeCloseTo(bytes / 0.004)
  expect(second?.ofCeiling).toBeCloseTo(bytes / 1e9 / 0.004)
  const lines = kernelLines("all", kernels, 0.02)
  expect(lines).toHaveLength(4)
  expect(lines[0]).toBe("all: 10.0 ms of the GPU when timed one by one, 20.0 ms as a whole")
})

test("logits are compared with a reference", () => {
  const reference = Float64Array.from({ length: 100 }, (_, i) => Math.sin(i))
  const same = compareLogits(reference, reference)
  expect(same).toMatchObject({ worst: 0, mean: 0, sameFirst: true, sharedOfFive: 5 })
  expect(same.divergence).toBeCloseTo(0)
  const other = compareLogits(
    reference.map((x, i) => (i === 3 ? 9 : x)),
    reference,
  )
  expect(other).toMatchObject({ sameFirst: false, sharedOfFive: 4 })
  expect(other.worst).toBeCloseTo(9 - Math.sin(3))
  expect(other.divergence).toBeGreaterThan(0.1)
  expect(
    compareLogits(
      reference.map(() => NaN),
      reference,
    ).worst,
  ).toBeNaN()
})

test("two paths agree in the rows whose tokens are the same, and by their log-probs of the same tokens", () => {
  const scores = (...rows: number[][]) =>
    rows.map((row) => ({ logprobs: Float64Array.from(row), vocabMeans: new Float64Array(), entropies: new Float64Array() }))
  const plain = { ids: [[1, 2], [3, 4], [5]], scores: scores([-1, -2], [-3, -4], [-5]) }
  const other = { ids: [[1, 2], [3, 9], [5]], scores: scores([-1, -2.5], [-3, -4], [-5.5]) }
  expect(compareMade(plain, other)).toEqual({ sameRows: 2 / 3, mean: 0.2, worst: 0.5 })
  expect(compareMade(plain, { ...other, scores: scores([-1, NaN], [-3, -4], [-5]) }).mean).toBeNaN()
})

test("numbers are short", () => {
  expect([0.01234, 1.234, 12.34, 123.4, 1234.5].map(digits)).toEqual(["0.012", "1.23", "12.3", "123", "1235"])
  expect(withPrefix(21.3e9, "FLOP/s")).toBe("21.3 GFLOP/s")
  expect(median([3, 1, 2])).toBe(2)
  expect(
    columns([
      ["a", "10"],
      ["bcd", "1"],
    ]),
  ).toEqual(["  a    10", "  bcd   1"])
})

test("a script that ends while it waits has failed", async () => {
  const folder = await mkdtemp(join(tmpdir(), "redline-script-"))
  const [program, run] = ["program.ts", "run.mjs"].map((name) => join(import.meta.dirname, "../../scripts", name))
  const script = join(folder, "waits.ts")
  await writeFile(
    script,
    `import { runScript } from ${JSON.stringify(program)}\nawait runScript("waits", () => new Promise(() => {}))\n`,
  )
  const { status, stderr } = spawnSync(process.execPath, [run as string, script], { encoding: "utf8" })
  await rm(folder, { recursive: true })
  expect(stderr).toContain("waits: expected an end, found that it waits for what never comes\n")
  expect(status).toBe(1)
})

test("scripts say what they expect", () => {
  const options = parseScript("bench x", ["--rows", "2"], { rows: "1", tokens: "8", out: undefined })
  expect([options.text("rows"), options.text("tokens"), options.text("out")]).toEqual(["2", "8", undefined])
  const wrong = (args: string[]) => () => parseScript("bench x", args, { rows: "1" })
  expect(wrong(["--row", "2"])).toThrow("bench x: expected --rows, found Unknown option '--row'")
  expect(wrong(["2"])).toThrow("bench x: expected --rows, found «2» too")
  expect(parseCounts("1,8, 64", "--rows")).toEqual([1, 8, 64])
  expect(() => parseCounts("1,0", "--rows")).toThrow(InputError)
})
