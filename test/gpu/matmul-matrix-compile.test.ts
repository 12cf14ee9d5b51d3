import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { create } from "webgpu"
import { Device } from "../../src/engine/device.ts"
import { AdapterError } from "../../src/engine/errors.ts"
import type { Parts } from "../../src/kernels/half-rows.ts"
import { fitTile, matmulMatrix, type MatrixTile, type MatrixUnit, tileLanes } from "../../src/kernels/matmul-matrix.ts"
import { MATRIX_STEPS } from "../../src/kernels/shapes.ts"

// Dawn's null backend computes nothing, but it reads the true shader, which no adapter without matrix units does. Its limits are
// WebGPU's least, so pipelines are made of the tiles that fit them, and of the others the shader alone is compiled.
let adapter: GPUAdapter
let device: GPUDevice
const kept = globalThis as { nullDawn?: GPU }

beforeAll(async () => {
  kept.nullDawn = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"])
  adapter = (await kept.nullDawn.requestAdapter()) as GPUAdapter
  const feature = "chromium-experimental-subgroup-matrix" as GPUFeatureName
  device = await adapter.requestDevice({ requiredFeatures: [feature, "subgroups", "shader-f16"] })
})
afterAll(() => device.destroy())

/** What the compiler says against a kernel. */
async function complaints(unit: MatrixUnit, tile: MatrixTile, parts: Parts, pipeline: boolean): Promise<string[]> {
  const shape = { rows: 519, columns: 136, scale: 1, unit, tile, parts, splits: 1 }
  const kernel = matmulMatrix(shape)
  device.pushErrorScope("validation")
  const module = device.createShaderModule({ label: kernel.label, code: kernel.code })
  const { messages } = await module.getCompilationInfo()
  if (pipeline) device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } })
  const error = await device.popErrorScope()
  return [...messages.map(({ message, lineNum }) => `${lineNum}: ${message}`), ...(error ? [error.message] : [])]
}

const UNITS: readonly MatrixUnit[] = [
  [16, 16, 16, 32],
  [16, 8, 16, 32],
  [16, 8, 8, 32],
  [8, 16, 16, 32],
  [8, 8, 8, 32],
  [16, 16, 8, 32],
  [16, 16, 16, 64],
].map(([m, n, k, lanes]) => ({ m, n, k, lanes }) as MatrixUnit)

describe.each(UNITS)("$m x $n x $k, subgroups of $lanes", (unit) => {
  test.each(MATRIX_STEPS.map(({ tile }) => tile))("a tile of $tokens x $rows compiles", async (tile) => {
    for (const parts of [1, 2] as const) {
      expect(await complaints(unit, tile, parts, false)).toEqual([])
      const fitting = fitTile(tile, unit, parts, device.limits.maxComputeWorkgroupStorageSize)
      if (fitting === undefined || tileLanes(tile, unit) > device.limits.maxComputeInvocationsPerWorkgroup) continue
      expect(await complaints(unit, fitting, parts, true)).toEqual([])
    }
  })
})

test("a mistake in the shader is seen here", async () => {
  const unit = { ...UNITS[0]!, emulate: (code: string) => code.replace("col_major", "some_major") }
  expect(await complaints(unit, MATRIX_STEPS[0]!.tile, 1, false)).not.toEqual([])
  const lanes = { ...UNITS[0]!, emulate: (code: string) => code.replace("if (subgroup < SUBGROUPS) {", "if (lane < 32) {") }
  expect((await complaints(lanes, MATRIX_STEPS[0]!.tile, 1, false)).join()).toMatch(/uniform/)
})

test("the null backend is refused for computing, matrix units or not", async () => {
  await expect(Device.from(adapter)).rejects.toThrow(AdapterError)
})
