import type { Device, GpuBuffer } from "../../src/engine/device.ts"
import { Recorder } from "../../src/engine/recorder.ts"
import { pad8, type Kernel } from "../../src/kernels/kernel.ts"

/** Dispatches one kernel over buffers and returns without waiting. */
export function runKernel<P>(device: Device, kernel: Kernel<P>, buffers: readonly GpuBuffer[], parameters: P): void {
  const recorder = new Recorder(device, kernel.label)
  recorder.run(kernel, buffers, parameters)
  recorder.submit()
}

/** The buffer's first `count` numbers, or all of them. */
export async function readFloats(device: Device, buffer: GpuBuffer, count: number = buffer.size / 4): Promise<Float32Array> {
  return new Float32Array(await device.read(buffer, count * 4))
}

/** The same numbers as bits, to compare without tolerance. */
export function bitsOf(numbers: Float32Array): Uint32Array {
  return new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length)
}

/** Rows of f32 as the kernels take them, [rows, pad8(width)] with tails of zeros. */
export function padRows(rows: number, width: number, value: (row: number, column: number) => number): Float32Array {
  const stride = pad8(width)
  const out = new Float32Array(rows * stride)
  for (let r = 0; r < rows; r++) for (let c = 0; c < width; c++) out[r * stride + c] = value(r, c)
  return out
}

/** Row `row` of such rows. */
export function rowOf(numbers: Float32Array, row: number, width: number): Float32Array {
  return numbers.slice(row * pad8(width), (row + 1) * pad8(width))
}
