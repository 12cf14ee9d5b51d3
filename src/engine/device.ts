import "./gpu.ts"
import type { Kernel } from "../kernels/kernel.ts"
import type { ShapeFacts } from "../kernels/shapes.ts"
import type { Profiler } from "./profiler.ts"
import { type AdapterFacts, adapterFacts } from "./adapter-facts.ts"
import { type MatmulChoice, parseMatmul } from "./matmul-choice.ts"
import { findMatrixUnit, MATRIX_FEATURES, type MatrixSupport } from "./matrix-unit.ts"
import { AdapterError, DeviceLostError, OutOfMemoryError, RedlineError } from "./errors.ts"

export type { AdapterFacts }

export interface DeviceOptions {
  /** Bytes that one binding takes at most, where less than the adapter's own limit is wanted: weights split earlier. */
  readonly maxBinding?: number
  /** Features to open the device with beside the engine's own, where the adapter has them. */
  readonly features?: readonly string[]
  /** How models on this device multiply matrices, unless they are told otherwise; auto unless told. */
  readonly matmul?: MatmulChoice
  /** Whose kernels run, where they are not the adapter's own kind's: they compute the same, and tests can try a GPU's without one. */
  readonly kernels?: "gpu" | "software"
  /** Stands in for what the adapter offers: tests emulate matrix units so. */
  readonly matrix?: MatrixSupport
  /** Told of every result that is read back, so that a host which asks the GPU again and again can rest meanwhile. */
  readonly onWait?: (result: Promise<unknown>) => void
}

/** A storage buffer with its one owner. */
export class GpuBuffer implements Disposable {
  static #next = 0
  /** Unique in the process: keys of cached bind groups are made of it. */
  readonly id: number = GpuBuffer.#next++
  readonly label: string
  /** Bytes. */
  readonly size: number
  readonly gpu: GPUBuffer
  readonly #onDispose: (buffer: GpuBuffer) => void

  constructor(label: string, gpu: GPUBuffer, onDispose: (buffer: GpuBuffer) => void) {
    this.label = label
    this.size = gpu.size
    this.gpu = gpu
    this.#onDispose = onDispose
  }

  dispose(): void {
    this.#onDispose(this)
    this.gpu.destroy()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

const MAX_CACHED_PARAMETERS = 4096

interface Compiled {
  readonly id: number
  readonly pipeline: GPUComputePipeline
  readonly layout: GPUBindGroupLayout
}

// Features, each with its reason. All are optional: every kernel has a path without them.
const FEATURES: readonly GPUFeatureName[] = [
  "timestamp-query", // per-kernel times in the benchmarks
  "subgroups", // reductions without barriers in the kernels for GPUs
]

// Limits raised from WebGPU's defaults to what the adapter has, each with its reason.
const LIMITS = [
  "maxStorageBufferBindingSize", // a weight larger than this is split by rows: fewer pieces, fewer dispatches
  "maxBufferSize", // a layer's key and value cache is one buffer
  "maxStorageBuffersPerShaderStage", // attention and sampling bind up to 8; fused kernels more
  "maxComputeWorkgroupStorageSize", // tiles of the matrix product
  "maxComputeInvocationsPerWorkgroup", // 256 lanes are the default; some kernels take more where they may
  "maxComputeWorkgroupSizeX",
] as const

/** An open WebGPU device: the one owner of buffers, pipelines and bind groups. Dispose it to end the process's use of it. */
export class Device implements Disposable {
  readonly gpu: GPUDevice
  readonly facts: AdapterFacts
  /** The facts by which kernels and their shapes are chosen. */
  readonly kernelsFor: ShapeFacts
  /** The largest piece of a buffer that one binding takes, in bytes. */
  readonly maxBinding: number
  /** How models on this device multiply matrices, unless they are told otherwise. */
  readonly matmul: MatmulChoice
  /** The adapter's matrix unit as it says; whether it computes right is for a probe. */
  readonly matrix: MatrixSupport
  readonly #onWait: DeviceOptions["onWait"]
  /** Times every dispatch while it is set. */
  profiler: Profiler | undefined
  readonly #pipelines = new Map<string, Compiled>()
  readonly #ofKernel = new WeakMap<Kernel<never>, Compiled>()
  readonly #bindGroups = new Map<string, { readonly group: GPUBindGroup; readonly buffers: readonly GpuBuffer[] }>()
  /** The keys of the bind groups that a buffer is part of. */
  readonly #groupsOf = new Map<number, Set<string>>()
  readonly #parameters = new Map<string, GpuBuffer>()
  readonly #pending: Promise<void>[] = []
  readonly #buffers = new Set<GpuBuffer>()
  #lost: DeviceLostError | undefined
  #doing = "nothing"
  #disposed = false

  private constructor(gpu: GPUDevice, facts: AdapterFacts, matrix: MatrixSupport, options: DeviceOptions) {
    this.gpu = gpu
    this.facts = facts
    this.kernelsFor = { ...facts, software: options.kernels === undefined ? facts.software : options.kernels === "software" }
    this.matmul = options.matmul ?? "auto"
    this.matrix = matrix
    this.#onWait = options.onWait
    const { maxStorageBufferBindingSize, maxBufferSize } = gpu.limits
    this.maxBinding = Math.min(options.maxBinding ?? Infinity, maxStorageBufferBindingSize, maxBufferSize)
    void gpu.lost.then((info) => {
      if (!this.#disposed) this.#lost = new DeviceLostError(`the device was lost while ${this.#doing}: ${info.message}`)
    })
    gpu.onuncapturederror = (event): void => {
      const { error } = event
      this.#pending.push(Promise.reject(new RedlineError(`WebGPU error while ${this.#doing}: ${error.message}`)))
      this.#pending.at(-1)?.catch(() => {})
    }
  }

  /**
   * Opens a device on an adapter that the caller got from Dawn or from `navigator.gpu`.
   * @throws AdapterError when the adapter only seems to compute (Dawn's null backend), InputError for an unknown `matmul`.
   */
  static async from(adapter: GPUAdapter, options: DeviceOptions = {}): Promise<Device> {
    const facts = adapterFacts(adapter)
    if (facts.device === "null-backend") {
      throw new AdapterError("the adapter is Dawn's null backend, which computes nothing: choose another adapter")
    }
    if (options.matmul !== undefined) parseMatmul(options.matmul)
    const own = findMatrixUnit(adapter)
    const features = new Set([
      ...[...FEATURES, ...(options.features ?? [])].filter((name) => adapter.features.has(name)),
      ...("unit" in own ? MATRIX_FEATURES : []),
    ])
    const gpu = await adapter.requestDevice({
      label: "redline",
      requiredFeatures: [...features] as GPUFeatureName[],
      requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
    })
    return new Device(gpu, facts, options.matrix ?? own, options)
  }

  /** Bytes of video memory in live buffers. */
  get allocated(): number {
    let bytes = 0
    for (const buffer of this.#buffers) bytes += buffer.size
    return bytes
  }

  /** Names what is being done, for the messages of errors that come later. */
  doing(what: string): void {
    this.#doing = what
  }

  /**
   * A storage buffer of `bytes` (rounded up to 4), filled with zeros. Failures arrive at the next {@link settled}.
   */
  createBuffer(label: string, bytes: number, usage: number = 0): GpuBuffer {
    const size = Math.max(16, Math.ceil(bytes / 4) * 4)
    if (size > this.gpu.limits.maxBufferSize) {
      throw new OutOfMemoryError(
        `${label}: ${size} bytes are more than the adapter's largest buffer (${this.gpu.limits.maxBufferSize})`,
      )
    }
    this.gpu.pushErrorScope("out-of-memory")
    const buffer = this.gpu.createBuffer({
      label,
      size,
      usage: GPU_STORAGE | GPU_COPY_SRC | GPU_COPY_DST | usage,
    })
    this.#watch(this.gpu.popErrorScope(), (error) => {
      const mib = (size / 2 ** 20).toFixed(1)
      const held = (this.allocated / 2 ** 20).toFixed(0)
      return new OutOfMemoryError(`out of GPU memory allocating ${label} (${mib} MiB, with ${held} MiB held): ${error.message}`)
    })
    const owned = new GpuBuffer(label, buffer, (gone) => this.#forget(gone))
    this.#buffers.add(owned)
    return owned
  }

  /** A buffer to be mapped for writing and copied from. Its caller destroys it; failures arrive as those of {@link createBuffer}. */
  createStaging(label: string, bytes: number): GPUBuffer {
    this.gpu.pushErrorScope("out-of-memory")
    const buffer = this.gpu.createBuffer({ label, size: bytes, usage: GPU_MAP_WRITE | GPU_COPY_SRC })
    this.#watch(this.gpu.popErrorScope(), (error) => new OutOfMemoryError(`out of memory allocating ${label}: ${error.message}`))
    return buffer
  }

  /** A buffer that holds `data`. */
  upload(label: string, data: Float32Array | Uint32Array): GpuBuffer {
    const buffer = this.createBuffer(label, data.byteLength)
    this.write(buffer, data)
    return buffer
  }

  write(buffer: GpuBuffer, data: Float32Array | Uint32Array | Uint8Array, offset = 0): void {
    if (data.byteLength > 0)
      this.gpu.queue.writeBuffer(buffer.gpu, offset, data.buffer as ArrayBuffer, data.byteOffset, data.byteLength)
  }

  /** Waits until every failure so far is known and throws the first. */
  async settled(): Promise<void> {
    const pending = this.#pending.splice(0)
    const results = await Promise.allSettled(pending)
    const failed = results.find((result) => result.status === "rejected")
    if (failed) throw failed.reason
    if (this.#lost) throw this.#lost
  }

  /** Copies `bytes` of a buffer to the host, after all work submitted before. */
  async read(buffer: GpuBuffer, bytes: number = buffer.size, offset = 0): Promise<ArrayBuffer> {
    if (bytes === 0) return new ArrayBuffer(0)
    const staging = this.gpu.createBuffer({ label: `read ${buffer.label}`, size: bytes, usage: GPU_MAP_READ | GPU_COPY_DST })
    try {
      const encoder = this.gpu.createCommandEncoder()
      encoder.copyBufferToBuffer(buffer.gpu, offset, staging, 0, bytes)
      this.gpu.queue.submit([encoder.finish()])
      const mapped = staging.mapAsync(GPU_MAP_MODE_READ)
      this.#onWait?.(mapped)
      await mapped.catch((error: unknown) => {
        throw this.#lost ?? new DeviceLostError(`reading ${buffer.label} failed while ${this.#doing}: ${String(error)}`)
      })
      await this.settled()
      return staging.getMappedRange().slice(0)
    } finally {
      staging.destroy()
    }
  }

  /** What the compiler says against a shader, on one line, and where, counted from 1; undefined when nothing. */
  async complaintAbout(code: string): Promise<{ message: string; line: number; column: number } | undefined> {
    this.gpu.pushErrorScope("validation")
    const info = await this.gpu.createShaderModule({ label: "a shader to be checked", code }).getCompilationInfo()
    const scoped = await this.gpu.popErrorScope()
    const error = info.messages.find(({ type }) => type === "error")
    const message = error?.message ?? scoped?.message
    if (message === undefined) return undefined
    return { message: message.replace(/\s+/g, " ").trim(), line: error?.lineNum ?? 0, column: error?.linePos ?? 0 }
  }

  /** Compiles a kernel once and keeps it. */
  compiled(kernel: Kernel<never>): Compiled {
    const known = this.#ofKernel.get(kernel)
    if (known) return known
    const key = `${JSON.stringify(kernel.constants)}\n${kernel.code}`
    const compiled = this.#pipelines.get(key) ?? this.#compile(kernel)
    this.#pipelines.set(key, compiled)
    this.#ofKernel.set(kernel, compiled)
    return compiled
  }

  /** Drops cached parameters when they grow past any steady use. Nothing may be recorded and not yet submitted. */
  trim(): void {
    if (this.#parameters.size < MAX_CACHED_PARAMETERS) return
    for (const buffer of this.#parameters.values()) buffer.gpu.destroy()
    for (const buffer of this.#parameters.values()) this.#buffers.delete(buffer)
    this.#parameters.clear()
    this.#bindGroups.clear()
    this.#groupsOf.clear()
  }

  /** The bind group of these buffers and parameters; the same objects give the same group again. */
  bindGroup(compiled: Compiled, label: string, buffers: readonly GpuBuffer[], parameters: readonly number[]): GPUBindGroup {
    let key = `${compiled.id}`
    for (const { id } of buffers) key += `,${id}`
    key += `|${parameters.join(",")}`
    const known = this.#bindGroups.get(key)
    if (known) return known.group
    const all = [...buffers, this.#parameterBuffer(parameters)]
    const group = this.gpu.createBindGroup({
      label,
      layout: compiled.layout,
      entries: all.map(({ gpu }, binding) => ({ binding, resource: { buffer: gpu } })),
    })
    this.#bindGroups.set(key, { group, buffers })
    for (const { id } of buffers) {
      const keys = this.#groupsOf.get(id)
      if (keys) keys.add(key)
      else this.#groupsOf.set(id, new Set([key]))
    }
    return group
  }

  /** Frees everything. The process can then end by itself. */
  dispose(): void {
    if (this.#disposed) return
    this.#disposed = true
    for (const buffer of this.#buffers) buffer.gpu.destroy()
    this.#buffers.clear()
    this.#bindGroups.clear()
    this.gpu.destroy()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #compile(kernel: Kernel<never>): Compiled {
    const types: GPUBufferBindingType[] = kernel.bindings.map((access) => (access === "read" ? "read-only-storage" : "storage"))
    types.push("uniform")
    this.gpu.pushErrorScope("validation")
    const layout = this.gpu.createBindGroupLayout({
      label: kernel.label,
      entries: types.map((type, binding) => ({ binding, visibility: GPU_STAGE_COMPUTE, buffer: { type } })),
    })
    const pipeline = this.gpu.createComputePipeline({
      label: kernel.label,
      layout: this.gpu.createPipelineLayout({ label: kernel.label, bindGroupLayouts: [layout] }),
      compute: {
        module: this.gpu.createShaderModule({ label: kernel.label, code: kernel.code }),
        entryPoint: "main",
        constants: { ...kernel.constants },
      },
    })
    this.#watch(this.gpu.popErrorScope(), (error) => new RedlineError(`compiling ${kernel.label}: ${error.message}`))
    return { id: this.#pipelines.size, pipeline, layout }
  }

  /** Parameters are immutable buffers found by their content: a step that repeats writes nothing. */
  #parameterBuffer(parameters: readonly number[]): GpuBuffer {
    const key = parameters.join(",")
    const known = this.#parameters.get(key)
    if (known) return known
    const words = new Uint32Array(Math.max(1, Math.ceil(parameters.length / 4)) * 4)
    words.set(parameters)
    const buffer = this.createBuffer(`parameters ${key}`, words.byteLength, GPU_UNIFORM)
    this.write(buffer, words)
    this.#parameters.set(key, buffer)
    return buffer
  }

  #watch(scope: Promise<GPUError | null>, toError: (error: GPUError) => Error): void {
    const checked = scope.then((error) => {
      if (error) throw toError(error)
    })
    checked.catch(() => {}) // reported by settled()
    this.#pending.push(checked)
  }

  #forget(buffer: GpuBuffer): void {
    this.#buffers.delete(buffer)
    for (const key of this.#groupsOf.get(buffer.id) ?? []) {
      // Its partners may live on, weights as long as their model: they must not keep the key.
      for (const { id } of this.#bindGroups.get(key)?.buffers ?? []) if (id !== buffer.id) this.#groupsOf.get(id)?.delete(key)
      this.#bindGroups.delete(key)
    }
    this.#groupsOf.delete(buffer.id)
  }
}

// The values of GPUBufferUsage and GPUShaderStage in the WebGPU specification: Node.js has no such globals.
const GPU_MAP_READ = 0x1
const GPU_MAP_WRITE = 0x2
const GPU_COPY_SRC = 0x4
const GPU_COPY_DST = 0x8
const GPU_UNIFORM = 0x40
const GPU_STORAGE = 0x80
const GPU_STAGE_COMPUTE = 0x4
const GPU_MAP_MODE_READ = 0x1
