import type { Device, GpuBuffer } from "../../../src/engine/device.ts"
import { RedlineError } from "../../../src/index.ts"
import { median } from "../numbers.ts"
import { count, patternAt } from "./kernels.ts"
import { passSeconds, type Speed, speedOf } from "./timing.ts"

/** The cost of a dispatch that does nearly nothing, in a chain where each waits for the one before; microseconds. */
export interface DispatchCost {
  readonly dispatches: number
  /** On the GPU; undefined without timestamps. */
  readonly gpu: number | undefined
  /** On the host, to encode and submit. */
  readonly encode: number
  /** From the first call to the end of the work. */
  readonly whole: number
}

/** Times a chain of dispatches that count to their number. */
export async function measureDispatches(device: Device, dispatches: number, repeats: number): Promise<DispatchCost> {
  using counter = device.createBuffer("bench counter", 16)
  const compiled = device.compiled(count)
  const group = device.bindGroup(compiled, "bench count", [counter], [])
  const record = (pass: GPUComputePassEncoder): void => {
    pass.setPipeline(compiled.pipeline)
    for (let i = 0; i < dispatches; i++) {
      pass.setBindGroup(0, group)
      pass.dispatchWorkgroups(1, 1, 1)
    }
  }
  const times = []
  for (let i = 0; i < repeats + 1; i++) times.push(await passSeconds(device, "bench chain", record))
  const found = new Uint32Array(await device.read(counter))[0]
  const expected = dispatches * (repeats + 1)
  if (found !== expected) throw new RedlineError(`card: the chain counted to ${found} and not to ${expected}`)
  const each = (seconds: readonly number[]): number => (median(seconds) / dispatches) * 1e6
  const counted = times.slice(1)
  const gpu = counted.flatMap(({ gpu: seconds }) => seconds ?? [])
  return {
    dispatches,
    gpu: gpu.length > 0 ? each(gpu) : undefined,
    encode: each(counted.map(({ encode }) => encode)),
    whole: each(counted.map(({ wall }) => wall)),
  }
}

/** Bytes of one piece, as the loader hands them over. */
const PIECE = 8 * 2 ** 20
const MAP_WRITE = 0x2
const COPY_SRC = 0x4

/** Uploading from the host's memory, in pieces of 8 MiB: by writeBuffer, and through mapped buffers that are used again. */
export async function measureUpload(
  device: Device,
  bytes: number,
  repeats: number,
): Promise<{ bytes: number; writeBuffer: Speed; mapped: Speed }> {
  const size = Math.max(1, Math.floor(Math.min(bytes, device.maxBinding) / PIECE)) * PIECE
  const words = Uint32Array.from({ length: PIECE / 4 }, (_, i) => patternAt(i))
  using buffer = device.createBuffer("bench upload", size)
  await device.settled()
  const written = await timedUploads(device, buffer, words, repeats, async () => {
    for (let at = 0; at < size; at += PIECE) {
      device.write(buffer, words, at)
      if ((at / PIECE) % 4 === 3) await flush(device) // as the loader does: what waits is bounded
    }
    await flush(device)
  })
  const mapped = await mappedUploads(device, buffer, words, repeats)
  return { bytes: size, writeBuffer: speedOf(size, written), mapped: speedOf(size, mapped) }
}

async function mappedUploads(device: Device, buffer: GpuBuffer, words: Uint32Array, repeats: number): Promise<number[]> {
  const { gpu } = device
  const make = (): GPUBuffer => gpu.createBuffer({ label: "bench staging", size: PIECE, usage: MAP_WRITE | COPY_SRC })
  const staging = [make(), make(), make()]
  try {
    return await timedUploads(device, buffer, words, repeats, async () => {
      for (let at = 0, turn = 0; at < buffer.size; at += PIECE, turn++) {
        const from = staging[turn % staging.length] as GPUBuffer
        await from.mapAsync(MAP_WRITE)
        new Uint32Array(from.getMappedRange()).set(words)
        from.unmap()
        const encoder = gpu.createCommandEncoder()
        encoder.copyBufferToBuffer(from, 0, buffer.gpu, at, PIECE)
        gpu.queue.submit([encoder.finish()])
      }
      await gpu.queue.onSubmittedWorkDone()
    })
  } finally {
    for (const each of staging) each.destroy()
  }
}

/** Seconds of each upload but the first; all bytes of every one are compared, in pieces. */
async function timedUploads(
  device: Device,
  buffer: GpuBuffer,
  words: Uint32Array,
  repeats: number,
  upload: () => Promise<void>,
): Promise<number[]> {
  const seconds: number[] = []
  for (let i = 0; i < repeats + 1; i++) {
    const encoder = device.gpu.createCommandEncoder()
    encoder.clearBuffer(buffer.gpu)
    device.gpu.queue.submit([encoder.finish()])
    await device.gpu.queue.onSubmittedWorkDone()
    const start = performance.now()
    await upload()
    seconds.push((performance.now() - start) / 1000)
    for (let at = 0; at < buffer.size; at += PIECE) {
      const arrived = Buffer.from(await device.read(buffer, PIECE, at))
      if (!arrived.equals(Buffer.from(words.buffer))) throw new RedlineError(`card: uploaded bytes from ${at} on are wrong`)
    }
  }
  return seconds.slice(1)
}

async function flush(device: Device): Promise<void> {
  device.gpu.queue.submit([])
  await device.gpu.queue.onSubmittedWorkDone()
}
