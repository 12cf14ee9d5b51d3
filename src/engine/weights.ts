import { findBad } from "../kernels/find-bad.ts"
import { pad8 } from "../kernels/kernel.ts"
import { bytesPerWeight, type WeightType } from "../kernels/weights.ts"
import { readInto } from "./bytes.ts"
import type { Checkpoint } from "./checkpoint.ts"
import type { LlamaConfig } from "./config.ts"
import type { Device, GpuBuffer } from "./device.ts"
import { addCounts, halfBytes, type HalfCounts, halveChunk, noHalves } from "./half-chunk.ts"
import { Recorder } from "./recorder.ts"
import { type TensorEntry, readTensorF32 } from "./safetensors.ts"
import { PIECE, Uploader } from "./uploader.ts"

/** Rows `firstRow … firstRow + rows` of a matrix, in one buffer: packed [pad8(rows), pad8(columns)]. */
export interface Chunk {
  readonly buffer: GpuBuffer
  readonly firstRow: number
  readonly rows: number
  readonly type: WeightType
  /** What products with it are multiplied by, where its weights were scaled for the matrix path. */
  readonly scale?: number
  /** The tensors in it, from top to bottom. */
  readonly parts: readonly { readonly name: string; readonly rows: number }[]
}

/**
 * A weight matrix [rows, columns], or several that read the same input, one below the other (q, k, v; gate, up). It is
 * one chunk where the tensors share a precision and fit one binding.
 */
export interface Matrix {
  readonly rows: number
  readonly columns: number
  readonly chunks: readonly Chunk[]
}

export interface LayerWeights {
  /** f32 [pad8(hidden)] */
  readonly inputNorm: GpuBuffer
  /** [(heads + 2 kvHeads) headDim, hidden] */
  readonly qkv: Matrix
  /** [hidden, heads headDim] */
  readonly output: Matrix
  readonly postNorm: GpuBuffer
  /** [2 intermediate, hidden] */
  readonly gateUp: Matrix
  /** [hidden, intermediate] */
  readonly down: Matrix
}

export interface Weights {
  /** [vocab, hidden]; the head too where the model ties them. */
  readonly embedding: Matrix
  readonly layers: readonly LayerWeights[]
  readonly finalNorm: GpuBuffer
  readonly head: Matrix
  /** f32 ones [pad8(hidden)]: a norm without a weight, which `ln_final.hook_normalized` is. */
  readonly ones: GpuBuffer
  /** Every buffer, each with the name of its tensor or tensors. */
  readonly buffers: readonly GpuBuffer[]
  /** What became of the weights in f16, where they were converted. */
  readonly halves: HalfCounts | undefined
}

export interface LoadProgress {
  readonly stage: "weights"
  /** Bytes of the checkpoint. */
  readonly done: number
  readonly total: number
}

export interface LoadOptions {
  readonly onProgress?: (progress: LoadProgress) => void
  readonly signal?: AbortSignal
}

export const EMBEDDING = "model.embed_tokens.weight"

const TYPES: Readonly<Record<string, WeightType>> = { F32: "f32", F16: "f16", BF16: "bf16" }

/** The precision of a tensor that the checkpoint's check has let through. */
export function weightType(entry: TensorEntry): WeightType {
  const type = TYPES[entry.dtype]
  if (type === undefined) throw new TypeError(`${entry.name} has dtype ${entry.dtype}`)
  return type
}

/** Tensors that lie one below the other in one matrix, cut where the precision changes and where a binding ends. */
export interface Segment {
  readonly type: WeightType
  readonly firstRow: number
  readonly rows: number
  /** The tensors' rows in it, from top to bottom. */
  readonly parts: readonly { readonly entry: TensorEntry; readonly from: number; readonly rows: number }[]
}

/** Where the rows of `entries` go; at most `maxBytes` a segment. */
export function segmentRows(entries: readonly TensorEntry[], maxBytes: number): Segment[] {
  const segments: { type: WeightType; firstRow: number; rows: number; parts: Segment["parts"][number][] }[] = []
  let firstRow = 0
  for (const entry of entries) {
    const [rows = 0, columns = 0] = entry.shape
    const type = weightType(entry)
    const most = Math.floor(maxBytes / (pad8(columns) * bytesPerWeight[type]) / 8) * 8
    for (let from = 0; from < rows;) {
      let segment = segments.at(-1)
      if (segment === undefined || segment.type !== type || segment.rows >= most) {
        segment = { type, firstRow, rows: 0, parts: [] }
        segments.push(segment)
      }
      const taken = Math.min(rows - from, most - segment.rows)
      segment.parts.push({ entry, from, rows: taken })
      segment.rows += taken
      firstRow += taken
      from += taken
    }
  }
  return segments
}

/**
 * Streams a checked checkpoint to the GPU, in the precision it is stored in. With `halves` all but the embedding becomes f16 there,
 * scaled, for the matrix path.
 *
 * The host holds a few pieces of 8 MiB at a time, whatever the model's size.
 * @throws OutOfMemoryError naming the tensor that did not fit; nothing stays allocated then.
 */
export async function loadWeights(
  device: Device,
  checkpoint: Checkpoint,
  options: LoadOptions = {},
  halves = false,
): Promise<Weights> {
  const loader = new TensorLoader(device, checkpoint, options)
  try {
    const weights = await loadLlama(loader, checkpoint.config, halves)
    device.doing("waiting for work")
    return weights
  } catch (error) {
    loader.dispose()
    throw error
  }
}

async function loadLlama(loader: TensorLoader, config: LlamaConfig, halves: boolean): Promise<Weights> {
  const embedding = await loader.matrix(EMBEDDING)
  let counts = halves ? noHalves : undefined
  const halved = async (matrix: Matrix): Promise<Matrix> => {
    if (!counts) return matrix
    const result = await loader.halve(matrix, matrix === embedding)
    counts = addCounts(counts, result.counts)
    return result.matrix
  }
  const factor = async (...names: string[]): Promise<Matrix> => halved(await loader.matrix(...names))
  const layers: LayerWeights[] = []
  for (let l = 0; l < config.layers; l++) {
    const name = (rest: string): string => `model.layers.${l}.${rest}.weight`
    layers.push({
      inputNorm: await loader.vector(name("input_layernorm")),
      qkv: await factor(name("self_attn.q_proj"), name("self_attn.k_proj"), name("self_attn.v_proj")),
      output: await factor(name("self_attn.o_proj")),
      postNorm: await loader.vector(name("post_attention_layernorm")),
      gateUp: await factor(name("mlp.gate_proj"), name("mlp.up_proj")),
      down: await factor(name("mlp.down_proj")),
    })
  }
  const finalNorm = await loader.vector("model.norm.weight")
  const head = config.tiedEmbeddings ? await halved(embedding) : await factor("lm_head.weight")
  const ones = loader.floats("ones", new Float32Array(config.hiddenSize).fill(1))
  await loader.flush()
  return { embedding, layers, finalNorm, head, ones, buffers: loader.buffers, halves: counts }
}

/** Tensors to load, of checked names, shapes and precisions, and the bytes of all of them. */
export type TensorFiles = Pick<Checkpoint, "tensors" | "bytes">

/** Streams tensors to the GPU and keeps their buffers. {@link flush} it at the end; dispose it when loading fails. */
export class TensorLoader implements Disposable {
  /** Every buffer so far, in the order of loading. */
  readonly buffers: GpuBuffer[] = []
  readonly #device: Device
  readonly #files: TensorFiles
  readonly #options: LoadOptions
  readonly #uploader: Uploader
  #done = 0

  constructor(device: Device, files: TensorFiles, options: LoadOptions) {
    this.#device = device
    this.#files = files
    this.#options = options
    this.#uploader = new Uploader(device)
  }

  /** Numbers from the host as f32 [pad8(length)]. */
  floats(label: string, values: Float32Array): GpuBuffer {
    const buffer = this.#allocate(label, pad8(values.length) * 4)
    this.#device.write(buffer, values)
    return buffer
  }

  /** A tensor of one dimension as f32 [pad8(length)]. */
  async vector(name: string): Promise<GpuBuffer> {
    const entry = this.#entry(name)
    const buffer = this.floats(name, await readTensorF32(entry))
    this.#advance(entry.end - entry.begin)
    return buffer
  }

  /** Tensors of two dimensions, one below the other, in chunks no larger than a binding. */
  async matrix(...names: string[]): Promise<Matrix> {
    const entries = names.map((name) => this.#entry(name))
    const columns = entries[0]?.shape[1] ?? 0
    const chunks: Chunk[] = []
    for (const { type, firstRow, rows, parts } of segmentRows(entries, this.#device.maxBinding)) {
      const label = parts.map(({ entry }) => entry.name).join(" + ")
      const stride = pad8(columns) * bytesPerWeight[type]
      const buffer = this.#allocate(label, pad8(rows) * stride)
      await this.#device.settled()
      let row = 0
      for (const part of parts) {
        await this.#stream(part.entry, part.from, part.rows, buffer, row * stride)
        row += part.rows
      }
      chunks.push({ buffer, firstRow, rows, type, parts: parts.map((part) => ({ name: part.entry.name, rows: part.rows })) })
    }
    return { rows: entries.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0), columns, chunks }
  }

  /** A loaded matrix as f16, scaled; the buffers it came in are freed unless they are `kept`. */
  async halve(matrix: Matrix, kept: boolean): Promise<{ readonly matrix: Matrix; readonly counts: HalfCounts }> {
    const chunks: Chunk[] = []
    let counts = noHalves
    for (const chunk of matrix.chunks) {
      this.#options.signal?.throwIfAborted()
      const into = this.#allocate(chunk.buffer.label, halfBytes(chunk.rows, matrix.columns))
      await this.#device.settled()
      const halved = await halveChunk(this.#device, chunk, matrix.columns, into)
      chunks.push(halved.chunk)
      counts = addCounts(counts, halved.counts)
      if (!kept) this.#free(chunk.buffer)
    }
    return { matrix: { ...matrix, chunks }, counts }
  }

  /** Waits for the writes so far and frees their staging memory. */
  async flush(): Promise<void> {
    await this.#uploader.flush()
    this.#uploader.dispose()
  }

  dispose(): void {
    this.#uploader.dispose()
    for (const buffer of this.buffers) buffer.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #entry(name: string): TensorEntry {
    const entry = this.#files.tensors.get(name)
    if (!entry) throw new TypeError(`the files were not checked: ${name} is missing`)
    return entry
  }

  #allocate(label: string, bytes: number): GpuBuffer {
    this.#device.doing(`loading ${label}`)
    const buffer = this.#device.createBuffer(label, bytes)
    this.buffers.push(buffer)
    return buffer
  }

  #free(buffer: GpuBuffer): void {
    this.buffers.splice(this.buffers.indexOf(buffer), 1)
    buffer.dispose()
  }

  /** Rows `from … from + rows` of a tensor into `buffer` at byte `offset`, padded to the stride of the kernels. */
  async #stream(entry: TensorEntry, from: number, rows: number, buffer: GpuBuffer, offset: number): Promise<void> {
    const columns = entry.shape[1] ?? 0
    const size = bytesPerWeight[weightType(entry)]
    const rowBytes = columns * size
    const stride = pad8(columns) * size
    const rowsPerPiece = Math.max(1, Math.floor(PIECE / stride))
    for (let row = 0; row < rows; row += rowsPerPiece) {
      this.#options.signal?.throwIfAborted()
      const count = Math.min(rowsPerPiece, rows - row)
      const begin = entry.begin + (from + row) * rowBytes
      await this.#uploader.send(buffer, offset + row * stride, count * stride, async (target) => {
        if (rowBytes === stride) return readInto(entry.source, target, begin)
        padRows(new Uint8Array(await entry.source.slice(begin, begin + count * rowBytes)), target, rowBytes, stride)
      })
      this.#advance(count * rowBytes)
    }
  }

  #advance(bytes: number): void {
    this.#done += bytes
    this.#options.onProgress?.({ stage: "weights", done: this.#done, total: this.#files.bytes })
  }
}

/** The names of the tensors that hold NaN or infinity. */
export async function notFiniteWeights(device: Device, weights: Weights): Promise<string[]> {
  const { embedding, layers, head } = weights
  const matrices = [embedding, ...layers.flatMap((layer) => [layer.qkv, layer.output, layer.gateUp, layer.down]), head]
  const chunkOf = new Map(
    matrices.flatMap((matrix) => matrix.chunks.map((chunk) => [chunk.buffer, { chunk, columns: matrix.columns }])),
  )
  const bad = new Set<string>()
  for (const buffer of weights.buffers) {
    const known = chunkOf.get(buffer)
    const type = known?.chunk.type ?? "f32"
    const rowBytes = known ? pad8(known.columns) * bytesPerWeight[type] : buffer.size
    let offset = 0
    for (const part of known?.chunk.parts ?? [{ name: buffer.label, rows: 1 }]) {
      if (await holdsBad(device, buffer, type, offset, part.rows * rowBytes)) bad.add(part.name)
      offset += part.rows * rowBytes
    }
  }
  return [...bad]
}

async function holdsBad(device: Device, buffer: GpuBuffer, type: WeightType, offset: number, bytes: number): Promise<boolean> {
  using part = device.createBuffer(`part of ${buffer.label}`, bytes)
  using found = device.createBuffer("found", 4)
  const recorder = new Recorder(device, `looking for NaN in ${buffer.label}`)
  recorder.copy(buffer, part, bytes, offset)
  recorder.run(findBad({ type }), [part, found], { words: bytes / 4 })
  recorder.submit()
  return new Uint32Array(await device.read(found, 4))[0] !== 0
}

function padRows(bytes: Uint8Array, padded: Uint8Array, rowBytes: number, stride: number): void {
  for (let from = 0, to = 0; from < bytes.length; from += rowBytes, to += stride) {
    padded.set(bytes.subarray(from, from + rowBytes), to)
    padded.fill(0, to + rowBytes, to + stride)
  }
}
