import type { MatrixUnit } from "../kernels/matmul-matrix.ts"

/** An adapter's matrix unit for f16 inputs and f32 sums, or why there is none. */
export type MatrixSupport = { readonly unit: MatrixUnit } | { readonly reason: string }

/** What an adapter's matrix units need of the device. */
export const MATRIX_FEATURES: readonly string[] = ["chromium-experimental-subgroup-matrix", "shader-f16", "subgroups"]

/** A line of `adapter.info.subgroupMatrixConfigs`, which @webgpu/types does not know yet. */
interface MatrixConfig {
  readonly componentType: string
  readonly resultComponentType: string
  readonly M: number
  readonly N: number
  readonly K: number
}

// The tiles are made of blocks of 16 x 16 at the least, and columns are staged by 8.
const SIZES = [8, 16]

/** What the adapter offers; of several sizes 16 x 16 x 16, or else the one that multiplies most at once. */
export function findMatrixUnit(adapter: GPUAdapter): MatrixSupport {
  const missing = MATRIX_FEATURES.filter((name) => !adapter.features.has(name as GPUFeatureName))
  if (missing.length > 0) return { reason: `an adapter without ${missing.join(" and ")}` }
  const info = adapter.info as GPUAdapterInfo & { readonly subgroupMatrixConfigs?: readonly MatrixConfig[] }
  const configs = [...(info.subgroupMatrixConfigs ?? [])]
  const fitting = configs.filter(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === "f16" && resultComponentType === "f32" && [M, N, K].every((size) => SIZES.includes(size)),
  )
  const [best] = fitting.sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)
  if (best) return { unit: { m: best.M, n: best.N, k: best.K, lanes: info.subgroupMaxSize ?? 32 } }
  const offered = configs.map((each) => `${each.componentType} to ${each.resultComponentType} ${each.M} x ${each.N} x ${each.K}`)
  return { reason: `an adapter without matrices of f16 to f32 (it offers ${offered.join(", ") || "none"})` }
}

/** The unit's size in words. */
export const unitName = ({ m, n, k }: MatrixUnit): string => `${m} x ${n} x ${k}`
