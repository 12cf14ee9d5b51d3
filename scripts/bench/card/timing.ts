import type { Kernel } from "../../../src/kernels/kernel.ts"
import { type Dispatch, Profiler } from "../../../src/engine/profiler.ts"
import { Recorder } from "../../../src/engine/recorder.ts"
import type { Device, GpuBuffer } from "../../../src/engine/device.ts"
import { median } from "../numbers.ts"

/** How the time of GPU work is taken: by its own timestamps, or around submission where the adapter has none. */
export type Clock = "timestamps" | "wall"

/** @returns the clock that the device has. */
export const clockOf = (device: Device): Clock => (device.gpu.features.has("timestamp-query") ? "timestamps" : "wall")

/** A dispatch to be timed. */
export interface Work<P> {
  readonly kernel: Kernel<P>
  readonly buffers: readonly GpuBuffer[]
  readonly parameters: P
}

/** Seconds of one dispatch. */
export async function secondsOf<P>(device: Device, { kernel, buffers, parameters }: Work<P>): Promise<number> {
  const profiler = clockOf(device) === "timestamps" ? new Profiler(device) : undefined
  device.profiler = profiler
  await device.gpu.queue.onSubmittedWorkDone()
  const start = performance.now()
  try {
    const recorder = new Recorder(device, kernel.label)
    recorder.run(kernel, buffers, parameters)
    recorder.submit()
    await device.gpu.queue.onSubmittedWorkDone()
    await device.settled()
    const wall = (performance.now() - start) / 1000
    const [time] = (await profiler?.take()) ?? []
    return time === undefined ? wall : time.total / 1000
  } finally {
    device.profiler = undefined
  }
}

/** Seconds of each of `repeats` dispatches, after one that does not count. */
export async function repeated<P>(device: Device, work: Work<P>, repeats: number): Promise<number[]> {
  await secondsOf(device, work)
  const seconds: number[] = []
  for (let i = 0; i < repeats; i++) seconds.push(await secondsOf(device, work))
  return seconds
}

/**
 * Doubles the size of the work until a dispatch takes as long as asked: the shortest that is worth timing.
 * @returns the size
 */
export async function largeEnough(
  first: number,
  most: number,
  seconds: number,
  timed: (size: number) => Promise<number>,
): Promise<number> {
  let size = first
  await timed(size) // compiles
  while (size < most && (await timed(size)) < seconds) size = Math.min(size * 2, most)
  return size
}

/** A speed with the times that it follows from. */
export interface Speed {
  readonly seconds: readonly number[]
  /** Bytes or operations a second, of the median. */
  readonly perSecond: number
}

export const speedOf = (amount: number, seconds: readonly number[]): Speed => ({ seconds, perSecond: amount / median(seconds) })

/** Times a pass of dispatches as a whole. */
export async function passSeconds(
  device: Device,
  label: string,
  record: (pass: GPUComputePassEncoder) => void,
): Promise<{ gpu: number | undefined; wall: number; encode: number }> {
  const profiler = clockOf(device) === "timestamps" ? new Profiler(device) : undefined
  const what: Dispatch = { label, grid: [1, 1, 1], parameters: [], sizes: [] }
  await device.gpu.queue.onSubmittedWorkDone()
  const start = performance.now()
  const encoder = device.gpu.createCommandEncoder({ label })
  const pass = encoder.beginComputePass(profiler && { timestampWrites: profiler.next(what) })
  record(pass)
  pass.end()
  device.gpu.queue.submit([encoder.finish()])
  const encode = (performance.now() - start) / 1000
  await device.gpu.queue.onSubmittedWorkDone()
  const wall = (performance.now() - start) / 1000
  await device.settled()
  const [time] = (await profiler?.take()) ?? []
  return { gpu: time && time.total / 1000, wall, encode }
}
