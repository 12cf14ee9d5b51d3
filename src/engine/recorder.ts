import type { Kernel } from "../kernels/kernel.ts"
import type { Device, GpuBuffer } from "./device.ts"

/** Records dispatches and copies in order and submits them as one command buffer; then records the next. */
export class Recorder {
  readonly device: Device
  readonly #label: string
  #encoder: GPUCommandEncoder
  #pass: GPUComputePassEncoder | undefined

  constructor(device: Device, label: string) {
    this.device = device
    device.trim()
    this.#label = label
    this.#encoder = device.gpu.createCommandEncoder({ label })
    device.doing(label)
  }

  /** Dispatches `kernel` over `buffers`, bound in the order of its `bindings`. */
  run<P>(kernel: Kernel<P>, buffers: readonly GpuBuffer[], p: P): void {
    const grid = kernel.grid(p)
    if (grid[0] === 0 || grid[1] === 0 || grid[2] === 0) return
    const compiled = this.device.compiled(kernel)
    const { profiler } = this.device
    if (profiler) this.#endPass()
    const parameters = kernel.parameters(p)
    this.#pass ??= this.#encoder.beginComputePass(
      profiler && {
        timestampWrites: profiler.next({ label: kernel.label, grid, parameters, sizes: buffers.map(({ size }) => size) }),
      },
    )
    this.#pass.setPipeline(compiled.pipeline)
    this.#pass.setBindGroup(0, this.device.bindGroup(compiled, kernel.label, buffers, parameters))
    this.#pass.dispatchWorkgroups(grid[0], grid[1], grid[2])
  }

  /** Copies `bytes` between buffers; offsets in bytes. */
  copy(from: GpuBuffer, to: GpuBuffer, bytes: number, fromOffset = 0, toOffset = 0): void {
    this.#endPass()
    this.#encoder.copyBufferToBuffer(from.gpu, fromOffset, to.gpu, toOffset, bytes)
  }

  /** Fills a buffer with zeros. */
  clear(buffer: GpuBuffer): void {
    this.#endPass()
    this.#encoder.clearBuffer(buffer.gpu)
  }

  submit(): void {
    this.#endPass()
    this.device.gpu.queue.submit([this.#encoder.finish()])
    this.#encoder = this.device.gpu.createCommandEncoder({ label: this.#label })
  }

  #endPass(): void {
    this.#pass?.end()
    this.#pass = undefined
  }
}
