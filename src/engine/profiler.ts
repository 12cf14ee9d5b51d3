import type { Grid } from "../kernels/kernel.ts"
import type { Device } from "./device.ts"

/** What tells one dispatch from another: from it follow the bytes and operations that it costs. */
export interface Dispatch {
  readonly label: string
  readonly grid: Grid
  /** The members of its uniform struct. */
  readonly parameters: readonly number[]
  /** Bytes of the storage buffers that it binds. */
  readonly sizes: readonly number[]
}

/** GPU time of equal dispatches. */
export interface KernelTime extends Dispatch {
  readonly dispatches: number
  /** ms */
  readonly total: number
}

/** Dispatches that one query set holds. */
const CAPACITY = 2048

interface Query {
  readonly set: GPUQuerySet
  readonly timed: Dispatch[]
}

/**
 * Times every dispatch on the GPU while it is attached to a device (`device.profiler = new Profiler(device)`). Each
 * dispatch then has a pass of its own, so the whole runs slower than without; the kernels' times stand.
 */
export class Profiler {
  readonly #device: Device
  readonly #queries: Query[] = []

  /** @throws TypeError when the device has no timestamps */
  constructor(device: Device) {
    if (!device.gpu.features.has("timestamp-query")) throw new TypeError("this adapter has no timestamp-query")
    this.#device = device
  }

  /** Where the pass of the next dispatch writes its times. */
  next(dispatch: Dispatch): GPUComputePassTimestampWrites {
    let query = this.#queries.at(-1)
    if (query === undefined || query.timed.length === CAPACITY) {
      query = { set: this.#device.gpu.createQuerySet({ type: "timestamp", count: 2 * CAPACITY }), timed: [] }
      this.#queries.push(query)
    }
    const index = query.timed.push(dispatch) - 1
    return { querySet: query.set, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 }
  }

  /** The times since the last call, longest first; waits for the GPU. */
  async take(): Promise<KernelTime[]> {
    const sums = new Map<string, KernelTime>()
    for (const { set, timed } of this.#queries.splice(0)) {
      const times = await this.#read(set, 2 * timed.length)
      for (const [i, dispatch] of timed.entries()) {
        const key = JSON.stringify(dispatch)
        const { dispatches, total } = sums.get(key) ?? { dispatches: 0, total: 0 }
        const ms = Number((times[2 * i + 1] as bigint) - (times[2 * i] as bigint)) / 1e6
        sums.set(key, { ...dispatch, dispatches: dispatches + 1, total: total + ms })
      }
      set.destroy()
    }
    return [...sums.values()].sort((a, b) => b.total - a.total)
  }

  async #read(set: GPUQuerySet, count: number): Promise<BigUint64Array> {
    using buffer = this.#device.createBuffer("timestamps", count * 8, QUERY_RESOLVE)
    const encoder = this.#device.gpu.createCommandEncoder()
    encoder.resolveQuerySet(set, 0, count, buffer.gpu, 0)
    this.#device.gpu.queue.submit([encoder.finish()])
    return new BigUint64Array(await this.#device.read(buffer, count * 8))
  }
}

/** GPUBufferUsage.QUERY_RESOLVE: Node.js has no such global. */
const QUERY_RESOLVE = 0x200
