import { spread } from "../../../src/kernels/grid.ts"
import type { Kernel } from "../../../src/kernels/kernel.ts"

/** The feature that gives access to a GPU's matrix units, as Dawn calls it. */
export const MATRIX_FEATURE = "chromium-experimental-subgroup-matrix"

const TYPES = ["f32", "f16", "u32", "i32", "u8", "i8"] as const
export type MatrixType = (typeof TYPES)[number]

/** One of `adapter.info.subgroupMatrixConfigs`: [M, K] times [K, N]. */
export interface MatrixConfig {
  readonly componentType: MatrixType
  readonly resultComponentType: MatrixType
  readonly M: number
  readonly N: number
  readonly K: number
}

/** The configurations that a device offers; none where it was opened without the feature. */
export function matrixConfigs(device: GPUDevice): MatrixConfig[] {
  const { subgroupMatrixConfigs = [] } = device.adapterInfo as { subgroupMatrixConfigs?: Iterable<MatrixConfig> }
  if (!(device.features as ReadonlySet<string>).has(MATRIX_FEATURE)) return []
  return [...subgroupMatrixConfigs].map(({ componentType, resultComponentType, M, N, K }) => ({
    componentType,
    resultComponentType,
    M,
    N,
    K,
  }))
}

/** Such as `f16 16x16x16 to f32`. */
export const configName = ({ componentType, resultComponentType, M, N, K }: MatrixConfig): string =>
  `${componentType} ${M}x${N}x${K} to ${resultComponentType}`

/** Left and right matrices of a subgroup: it multiplies each by each, so that no product waits for another. */
export const LEFTS = 2
export const RIGHTS = 2
/** Subgroups of a workgroup, where subgroups have their largest size. */
const SUBGROUPS = 4

export interface MatrixParameters {
  readonly groups: number
  readonly rounds: number
}

/** 8-bit matrices are loaded from words of four. */
const perElement = (type: MatrixType): number => (type === "u8" || type === "i8" ? 4 : 1)
const arrayType = (type: MatrixType): string => (perElement(type) === 4 ? "u32" : type)

/** Subgroups of one workgroup at most: `slots` in the output. */
export const slotsOf = (minSize: number, maxSize: number): number => (SUBGROUPS * maxSize) / minSize

/**
 * out[group, slot, i, j] [M, N] = `rounds` times left i [M, K] x right j [K, N], for every subgroup of every workgroup; used[0] =
 * the subgroups of a workgroup. Binds the lefts, the rights, out and used.
 */
export function matrixKernel(config: MatrixConfig, minSize: number, maxSize: number): Kernel<MatrixParameters> {
  const { componentType: type, resultComponentType: result, M, N, K } = config
  const packed = perElement(type)
  const half = type === "f16" || result === "f16" ? "enable f16;\n" : ""
  const pairs = Array.from({ length: LEFTS * RIGHTS }, (_, p) => ({ p, i: Math.floor(p / RIGHTS), j: p % RIGHTS }))
  const load = (side: string, n: number, shape: string, size: number, stride: number): string =>
    `let ${side}${n} = subgroupMatrixLoad<subgroup_matrix_${side}<${type}, ${shape}>, row_major>(&${side}s, ${(n * size) / packed}u, ${stride / packed}u);`
  return {
    label: `bench matrix ${configName(config)}`,
    code: `enable chromium_experimental_subgroup_matrix;
enable subgroups;
${half}struct Numbers { rounds: u32 }
@group(0) @binding(0) var<storage, read> lefts: array<${arrayType(type)}>;
@group(0) @binding(1) var<storage, read> rights: array<${arrayType(type)}>;
@group(0) @binding(2) var<storage, read_write> out: array<${result}>;
@group(0) @binding(3) var<storage, read_write> used: array<u32>;
@group(0) @binding(4) var<uniform> p: Numbers;
@compute @workgroup_size(${SUBGROUPS * maxSize})
fn main(@builtin(workgroup_id) g: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32, @builtin(local_invocation_index) lane: u32) {
  ${Array.from({ length: LEFTS }, (_, n) => load("left", n, `${K}, ${M}`, M * K, K)).join("\n  ")}
  ${Array.from({ length: RIGHTS }, (_, n) => load("right", n, `${N}, ${K}`, K * N, N)).join("\n  ")}
  ${pairs.map(({ p }) => `var sum${p} = subgroup_matrix_result<${result}, ${N}, ${M}>();`).join("\n  ")}
  for (var round = 0u; round < p.rounds; round++) {
    ${pairs.map(({ p, i, j }) => `sum${p} = subgroupMatrixMultiplyAccumulate(left${i}, right${j}, sum${p});`).join("\n    ")}
  }
  let at = ((g.y * groups.x + g.x) * ${slotsOf(minSize, maxSize)}u + subgroup) * ${LEFTS * RIGHTS * M * N}u;
  ${pairs.map(({ p }) => `subgroupMatrixStore<row_major>(&out, at + ${p * M * N}u, sum${p}, ${N}u);`).join("\n  ")}
  if (g.x + g.y + lane == 0u) { used[0] = subgroups; }
}`,
    constants: {},
    bindings: ["read", "read", "write", "write"],
    parameters: ({ rounds }) => [rounds],
    grid: ({ groups }) => spread(groups),
  }
}

/** Multiply-adds of one round of a subgroup. */
export const multiplyAdds = ({ M, N, K }: MatrixConfig): number => LEFTS * RIGHTS * M * N * K

/** Bytes of one number. */
export const typeBytes: Readonly<Record<MatrixType, number>> = { f32: 4, f16: 2, u32: 4, i32: 4, u8: 1, i8: 1 }

/** Matrices of 1 and -1 (1 and 0 where there is no sign), whose products are exact in every type. */
export interface MatrixData {
  readonly lefts: Uint8Array
  readonly rights: Uint8Array
  /** [LEFTS, RIGHTS, M, N], of one round. */
  readonly products: Int32Array
  /** Rounds after which the sums are still exact. */
  readonly rounds: number
}

/** The matrices for a configuration, always the same, and what they multiply to. */
export function matrixData(config: MatrixConfig): MatrixData {
  const { componentType: type, resultComponentType: result, M, N, K } = config
  const unsigned = type.startsWith("u")
  const sign = (n: number): number => ((Math.imul(n + 1, 0x9e3779b1) >>> 28) & 1 ? 1 : unsigned ? 0 : -1)
  const left = Int8Array.from({ length: LEFTS * M * K }, (_, n) => sign(n))
  const right = Int8Array.from({ length: RIGHTS * K * N }, (_, n) => sign(n + 7919))
  const products = Int32Array.from({ length: LEFTS * RIGHTS * M * N }, (_, at) => {
    const [n, m] = [at % N, Math.floor(at / N) % M]
    const [j, i] = [Math.floor(at / (M * N)) % RIGHTS, Math.floor(at / (M * N * RIGHTS))]
    let sum = 0
    for (let k = 0; k < K; k++) sum += (left[(i * M + m) * K + k] as number) * (right[(j * K + k) * N + n] as number)
    return sum
  })
  const largest = products.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
  const rounds = result === "f16" ? Math.floor(2048 / largest) : 512
  return { lefts: bytesOf(type, left), rights: bytesOf(type, right), products, rounds }
}

function bytesOf(type: MatrixType, values: Int8Array): Uint8Array {
  if (type === "i8" || type === "u8") return new Uint8Array(values)
  if (type === "f32") return new Uint8Array(Float32Array.from(values).buffer)
  if (type === "i32" || type === "u32") return new Uint8Array(Int32Array.from(values).buffer)
  const halves: Readonly<Record<number, number>> = { 1: 0x3c00, 0: 0, [-1]: 0xbc00 }
  return new Uint8Array(Uint16Array.from(values, (x) => halves[x] as number).buffer)
}

/** Whole numbers as a kernel stores them in a type. */
export function decodeResults(type: MatrixType, bytes: ArrayBuffer): ArrayLike<number> {
  if (type === "f32") return new Float32Array(bytes)
  if (type === "u32") return new Uint32Array(bytes)
  if (type === "i32") return new Int32Array(bytes)
  if (type !== "f16") return new Int8Array(bytes)
  return Float32Array.from(new Uint16Array(bytes), (half) => {
    const [exponent, fraction] = [(half >> 10) & 0x1f, half & 0x3ff]
    return (half & 0x8000 ? -1 : 1) * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15))
  })
}
