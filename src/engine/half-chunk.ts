import { halfWeights, largestWeight, scaleExponent } from "../kernels/half-weights.ts"
import { pad8 } from "../kernels/kernel.ts"
import type { Device, GpuBuffer } from "./device.ts"
import { Recorder } from "./recorder.ts"
import type { Chunk } from "./weights.ts"

/** What became of weights that were converted to f16. */
export interface HalfCounts {
  /** Weights converted, padding left out. */
  readonly values: number
  /** Those that f16's lower end took something from: to zero, or to a subnormal of fewer bits. */
  readonly underflowed: number
  /** Others that f16's 11 bits of significand rounded; none of bf16. */
  readonly rounded: number
}

export const noHalves: HalfCounts = { values: 0, underflowed: 0, rounded: 0 }

export const addCounts = (a: HalfCounts, b: HalfCounts): HalfCounts => ({
  values: a.values + b.values,
  underflowed: a.underflowed + b.underflowed,
  rounded: a.rounded + b.rounded,
})

/** Bytes of a chunk [rows, columns] as f16. */
export const halfBytes = (rows: number, columns: number): number => pad8(rows) * pad8(columns) * 2

/** Converts a chunk on the GPU into `into`, scaled by one power of two: the largest weight comes near f16's largest. */
export async function halveChunk(
  device: Device,
  chunk: Chunk,
  columns: number,
  into: GpuBuffer,
): Promise<{ readonly chunk: Chunk; readonly counts: HalfCounts }> {
  const { type, buffer, rows } = chunk
  using facts = device.createBuffer(`facts about ${buffer.label}`, 16)
  const words = halfBytes(rows, columns) / 4
  const recorder = new Recorder(device, `converting ${buffer.label} to f16`)
  recorder.run(largestWeight({ type }), [buffer, facts], { words })
  recorder.run(halfWeights({ type }), [buffer, facts, into], { words })
  recorder.submit()
  const [largest = 0, underflowed = 0, rounded = 0] = new Uint32Array(await device.read(facts, 12))
  const scale = 2 ** -scaleExponent(largest)
  return { chunk: { ...chunk, buffer: into, type: "f16", scale }, counts: { values: rows * columns, underflowed, rounded } }
}
