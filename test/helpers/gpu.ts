import type { Device, GpuBuffer } from "../../src/engine/device.ts"
import { Recorder } from "../../src/engine/recorder.ts"
import type { Kernel } from "../../src/kernels/kernel.ts"

/** Dispatches one kernel over buffers and returns without waiting. */
export function runKernel<P>(device: Device, kernel: Kernel<P>, buffers: readonly GpuBuffer[], parameters: P): void {
  const recorder = new Recorder(device, kernel.label)
  recorder.run(kernel, buffers, parameters)
  recorder.submit()
}

/** The buffer's numbers. */
export async function readFloats(device: Device, buffer: GpuBuffer): Promise<Float32Array> {
  return new Float32Array(await device.read(buffer))
}

/** The buffer's bits, to compare without tolerance. */
export async function readBits(device: Device, buffer: GpuBuffer): Promise<Uint32Array> {
  return new Uint32Array(await device.read(buffer))
}
