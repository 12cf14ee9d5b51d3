import { type KernelTime, Profiler } from "../../src/engine/profiler.ts"
import type { Device, LlamaConfig } from "../../src/index.ts"
import type { Ceilings } from "./ceilings.ts"
import { columns, digits, percent } from "./numbers.ts"
import { type Work, workOf } from "./work.ts"

/** GPU time of a kernel over one shape, with what it did in it. */
export interface KernelRow {
  readonly kernel: string
  readonly dispatches: number
  readonly seconds: number
  /** Of the GPU time of all kernels. */
  readonly share: number
  readonly bytes: number | undefined
  readonly flops: number | undefined
  readonly bytesPerSecond: number | undefined
  readonly flopsPerSecond: number | undefined
  /** The time that the card's ceilings allow, of the time taken: 1 is as fast as it gets. */
  readonly ofCeiling: number | undefined
}

export interface Kernels {
  /** Longest first. */
  readonly rows: readonly KernelRow[]
  /** Of all. */
  readonly seconds: number
}

/** Times every dispatch of some work by timestamps; undefined where the adapter has none. */
export async function profiled(device: Device, work: () => Promise<unknown>): Promise<KernelTime[] | undefined> {
  if (!device.gpu.features.has("timestamp-query")) return undefined
  const profiler = new Profiler(device)
  device.profiler = profiler
  try {
    await work()
    return await profiler.take()
  } finally {
    device.profiler = undefined
  }
}

/**
 * Adds equal kernels up and sets their times beside the ceilings.
 * @param attention What attention does in all of it: its dispatches do not tell how many keys they see.
 */
export function kernelsOf(
  times: readonly KernelTime[],
  config: LlamaConfig,
  attention: Work | undefined,
  ceilings: Ceilings,
): Kernels {
  const sums = new Map<string, { dispatches: number; seconds: number; bytes: number; flops: number }>()
  for (const time of times) {
    const isAttention = time.label.startsWith("attention")
    const { over, work = { bytes: NaN, flops: NaN } } = isAttention ? { over: "" } : workOf(time, config)
    const name = `${time.label.replace(/ \[.*\]$| \d+$/, "")} ${over}`.trimEnd()
    const sum = sums.get(name) ?? { dispatches: 0, seconds: 0, bytes: 0, flops: 0 }
    sum.dispatches += time.dispatches
    sum.seconds += time.total / 1000
    sum.bytes += work.bytes * time.dispatches
    sum.flops += work.flops * time.dispatches
    sums.set(name, sum)
  }
  const seconds = [...sums.values()].reduce((total, sum) => total + sum.seconds, 0)
  const rows = [...sums].map(([kernel, sum]): KernelRow => {
    const known = kernel.startsWith("attention") ? attention : sum
    return rowOf(kernel, { ...sum, bytes: known?.bytes ?? NaN, flops: known?.flops ?? NaN }, seconds, ceilings)
  })
  return { rows: rows.sort((a, b) => b.seconds - a.seconds), seconds }
}

function rowOf(
  kernel: string,
  { dispatches, seconds, bytes, flops }: { dispatches: number; seconds: number; bytes: number; flops: number },
  total: number,
  ceilings: Ceilings,
): KernelRow {
  const peak = kernel.includes("matrix") ? (ceilings.matrices ?? ceilings.f32) : ceilings.f32
  const known = !Number.isNaN(bytes) && seconds > 0
  return {
    kernel,
    dispatches,
    seconds,
    share: total > 0 ? seconds / total : 0,
    bytes: known ? bytes : undefined,
    flops: known ? flops : undefined,
    bytesPerSecond: known ? bytes / seconds : undefined,
    flopsPerSecond: known && flops > 0 ? flops / seconds : undefined,
    ofCeiling: known ? Math.max(bytes / ceilings.bytes, flops / peak) / seconds : undefined,
  }
}

/** Kernels that a table shows at most. */
const SHOWN = 12

/**
 * The table of {@link Kernels} under a title; what takes less than 1 %, or comes after the first twelve, is added up in one line.
 * @param wall Seconds that the same work takes without the profiler: what the kernels leave of it, the host and gaps take.
 */
export function kernelLines(title: string, kernels: Kernels | undefined, wall: number): string[] {
  if (!kernels) return [`${title}: not timed, the adapter has no timestamp-query`]
  const { rows, seconds } = kernels
  const shown = rows.filter(({ share }, i) => share >= 0.01 && i < SHOWN)
  const rest = rows.filter((row) => !shown.includes(row))
  const head = ["kernel", "times", "ms", "share", "GB/s", "GFLOP/s", "of ceiling"]
  const giga = (x: number | undefined): string => (x === undefined ? "–" : digits(x / 1e9))
  const body = shown.map((row) => [
    row.kernel,
    `${row.dispatches}`,
    digits(row.seconds * 1000),
    percent(row.share),
    giga(row.bytesPerSecond),
    giga(row.flopsPerSecond),
    percent(row.ofCeiling),
  ])
  const restSeconds = rest.reduce((sum, row) => sum + row.seconds, 0)
  const restTimes = rest.reduce((sum, row) => sum + row.dispatches, 0)
  if (rest.length > 0) {
    const share = seconds > 0 ? restSeconds / seconds : 0
    body.push([`${rest.length} others`, `${restTimes}`, digits(restSeconds * 1000), percent(share), "", "", ""])
  }
  const sum = `${digits(seconds * 1000)} ms of the GPU when timed one by one, ${digits(wall * 1000)} ms as a whole`
  return [`${title}: ${sum}`, ...columns([head, ...body])]
}
