import type { Device, GpuBuffer } from "./device.ts"
import type { KernelSet } from "./kernel-set.ts"
import type { Recorder } from "./recorder.ts"

/** The tokens of a pass to copy, where not all are wanted: their places in the pass, u32 [count]. */
export interface Selection {
  readonly index: GpuBuffer
  readonly count: number
}

interface Tapped {
  readonly buffer: GpuBuffer
  /** Floats of a row, and where in it the values begin. */
  readonly stride: number
  readonly from: number
}

/**
 * Copies the wanted internals of one pass aside while it is recorded, and reads them back after it. What nobody wants
 * costs nothing.
 */
export class Capture implements Disposable {
  readonly #device: Device
  readonly #kernels: KernelSet
  readonly #names: ReadonlySet<string>
  readonly #selection: Selection | undefined
  readonly #tapped = new Map<string, Tapped>()

  constructor(device: Device, kernels: KernelSet, names: Iterable<string>, selection?: Selection) {
    this.#device = device
    this.#kernels = kernels
    this.#names = new Set(names)
    this.#selection = selection
  }

  wants(name: string): boolean {
    return this.#names.has(name)
  }

  /** Copies `tokens` rows of `stride` floats aside; the values begin at float `from` of each. */
  tap(recorder: Recorder, name: string, buffer: GpuBuffer, from: number, stride: number, tokens: number): void {
    if (!this.wants(name)) return
    const rows = this.#selection?.count ?? tokens
    const copy = this.#device.createBuffer(`captured ${name}`, rows * stride * 4)
    this.#tapped.set(name, { buffer: copy, stride, from })
    if (this.#selection === undefined) recorder.copy(buffer, copy, rows * stride * 4)
    else recorder.run(this.#kernels.gatherRows(stride), [buffer, this.#selection.index, copy], { count: rows })
  }

  /** Reads one internal back: `take` gets each token's values, from its first to the end of the row, and must copy them. */
  async read(name: string, take: (token: number, values: Float32Array) => void): Promise<void> {
    const tapped = this.#tapped.get(name)
    if (!tapped) return
    const { buffer, stride, from } = tapped
    const floats = new Float32Array(await this.#device.read(buffer))
    for (let token = 0; (token + 1) * stride <= floats.length; token++) {
      take(token, floats.subarray(token * stride + from, (token + 1) * stride))
    }
  }

  dispose(): void {
    for (const { buffer } of this.#tapped.values()) buffer.dispose()
    this.#tapped.clear()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
