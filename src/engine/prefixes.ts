import type { Device, GpuBuffer } from "./device.ts"

/** Where a row's first positions stand in the cache. */
export interface Prefix {
  /** The row of the batch that ran them, itself where it shares none. */
  readonly source: number
  /** How many of them there are. */
  readonly shared: number
}

/**
 * What rows of a batch share: where they begin with the same tokens, and nothing has parted them yet, one of them runs those and
 * keeps their keys and values for all. Nothing parts them in the first `layers` layers.
 */
export class Prefixes implements Disposable {
  readonly layers: number
  readonly #shared: GpuBuffer
  readonly #own: GpuBuffer

  constructor(device: Device, prefixes: readonly Prefix[], layers: number) {
    this.layers = layers
    const upload = (what: string, of: (prefix: Prefix, row: number) => readonly number[]): GpuBuffer =>
      device.upload(what, Uint32Array.from(prefixes.flatMap(of)))
    this.#shared = upload("shared prefixes", ({ source, shared }) => [source, shared])
    this.#own = upload("own prefixes", (_prefix, row) => [row, 0])
  }

  /** As the kernels of a layer's attention read them, u32 [rows, 2]. */
  at(layer: number): GpuBuffer {
    return layer < this.layers ? this.#shared : this.#own
  }

  dispose(): void {
    this.#shared.dispose()
    this.#own.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Rows that share nothing. */
export const noPrefixes = (rows: number): Prefix[] => Array.from({ length: rows }, (_, row) => ({ source: row, shared: 0 }))

/** The first `lengths[row]` ids of each row, shared with the first row that begins with the same and as many. */
export function sharedPrefixes(rows: readonly (readonly number[])[], lengths: readonly number[]): Prefix[] {
  const first = new Map<string, number>()
  return rows.map((ids, row) => {
    const shared = lengths[row] as number
    const key = ids.slice(0, shared).join()
    const source = first.get(key) ?? row
    if (source === row) first.set(key, row)
    return source === row ? { source, shared: 0 } : { source, shared }
  })
}
