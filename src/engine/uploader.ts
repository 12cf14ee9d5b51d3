import type { Device, GpuBuffer } from "./device.ts"

/** Bytes of a staging buffer. Four of them bound the host's memory: one is filled while the copies of the others run. */
export const PIECE: number = 8 * 2 ** 20
const BUFFERS = 4

const MAP_MODE_WRITE = 0x2

/**
 * Streams bytes into GPU buffers through a ring of mapped staging buffers. Files are read straight into them, and while one is
 * read the GPU copies the others: on software Vulkan several times as fast as queue.writeBuffer, which stages each piece anew
 * (`npm run bench -- card`). {@link flush} it at the end; dispose it.
 */
export class Uploader implements Disposable {
  readonly #device: Device
  readonly #ring: { readonly buffer: GPUBuffer; mapped: Promise<undefined> }[] = []
  #next = 0

  constructor(device: Device) {
    this.#device = device
  }

  /**
   * Copies `bytes`, at most {@link PIECE} and a multiple of 4, into `buffer` from byte `offset` on, when `fill` has written them.
   * Call it again only when it is done.
   */
  async send(buffer: GpuBuffer, offset: number, bytes: number, fill: (target: Uint8Array) => Promise<void>): Promise<void> {
    if (bytes === 0) return
    const slot = this.#slot()
    await slot.mapped
    await fill(new Uint8Array(slot.buffer.getMappedRange(0, bytes)))
    slot.buffer.unmap()
    const encoder = this.#device.gpu.createCommandEncoder({ label: `loading ${buffer.label}` })
    encoder.copyBufferToBuffer(slot.buffer, 0, buffer.gpu, offset, bytes)
    this.#device.gpu.queue.submit([encoder.finish()])
    slot.mapped = slot.buffer.mapAsync(MAP_MODE_WRITE)
    slot.mapped.catch(() => {}) // a lost device says so at the next send
  }

  /** Waits for every copy so far. */
  async flush(): Promise<void> {
    await this.#device.gpu.queue.onSubmittedWorkDone()
    await this.#device.settled()
  }

  dispose(): void {
    for (const { buffer } of this.#ring.splice(0)) buffer.destroy()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #slot(): { readonly buffer: GPUBuffer; mapped: Promise<undefined> } {
    const index = this.#next
    this.#next = (index + 1) % BUFFERS
    const known = this.#ring[index]
    if (known) return known
    const buffer = this.#device.createStaging(`staging ${index}`, PIECE)
    const slot = { buffer, mapped: buffer.mapAsync(MAP_MODE_WRITE) }
    this.#ring[index] = slot
    return slot
  }
}
