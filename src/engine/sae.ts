import { pad8 } from "../kernels/kernel.ts"
import type { Folder } from "./bytes.ts"
import type { Device, GpuBuffer } from "./device.ts"
import { InputError, NotFiniteError } from "./errors.ts"
import { Recorder } from "./recorder.ts"
import { SaePass, SaeWorkspace } from "./sae-pass.ts"
import { cut } from "./sequences.ts"
import type { LoadOptions } from "./weights.ts"

export interface LoadSaeOptions extends LoadOptions {
  readonly device: Device
  /** The model's width, to refuse another model's autoencoder before its weights are read. */
  readonly width?: number
}

export interface SaeOptions {
  readonly signal?: AbortSignal
}

/** Rows of features in their sparse form. An entry of value 0 stands for no feature. */
export interface SparseCode {
  readonly rows: number
  /** Entries of a row. */
  readonly k: number
  /** The features [rows, k]. */
  readonly indices: Uint32Array
  /** Their activations [rows, k]. */
  readonly values: Float32Array
}

/** Terms of one sum of {@link Sae.combine}: short sums are more exact, and many run side by side. */
const TERMS = 1024

/**
 * A sparse autoencoder of one layer's residual stream, on a device (EleutherAI's TopK form; Gao et al. 2024,
 * https://arxiv.org/abs/2406.04093): features = TopK(ReLU(encoder (x - b_dec) + bias)), x is about features W_dec + b_dec.
 *
 * Rows of the residual stream are f32 [rows, width], one after the other, as `model.run` captures them under
 * `blocks.N.hook_resid_post`. Dispose it to free its GPU memory; the device stays open.
 *
 * @example
 * using sae = await Sae.load(folder, 3, { device, width: model.config.hiddenSize })
 * const { indices, values } = await sae.encode(residuals)
 */
export class Sae implements Disposable {
  /** The layer's folder. */
  readonly name: string
  /** The 0-based layer whose output it describes. */
  readonly layer: number
  /** The size of the residual stream. */
  readonly width: number
  /** How many features there are. */
  readonly latents: number
  /** How many features a row keeps at most. */
  readonly k: number
  readonly #pass: SaePass

  private constructor(pass: SaePass) {
    const { name, layer, width, latents, k } = pass.files
    this.name = name
    this.layer = layer
    this.width = width
    this.latents = latents
    this.k = k
    this.#pass = pass
  }

  /**
   * Loads one layer of a folder in EleutherAI's layout, `layers.N/cfg.json` and `layers.N/sae.safetensors`, streamed in pieces
   * and split where a binding ends.
   * @throws InputError for files that are absent, broken or of another model, or weights that are not finite; OutOfMemoryError
   * naming the tensor that did not fit.
   */
  static async load(folder: Folder, layer: number, options: LoadSaeOptions): Promise<Sae> {
    return new Sae(await SaePass.load(folder, layer, options.device, options.width, options))
  }

  /**
   * Every feature's activation before TopK, rectified: [rows, latents]. That is rows x latents floats on the host: for many rows,
   * where the strongest are enough, use {@link encode}.
   * @throws InputError for rows of another width or not finite.
   */
  async activations(rows: Float32Array, options: SaeOptions = {}): Promise<Float32Array> {
    const all = new Float32Array(this.#countRows(rows) * this.latents)
    await this.#eachPiece(rows, options, async (workspace, first, count) => {
      this.#submit(count, (recorder) => this.#pass.encode(recorder, workspace, count))
      await this.#read(workspace.features, this.latents, all, first, count)
    })
    return all
  }

  /**
   * The k strongest features of each row, the strongest first; of equal ones the first features win and come first. A row with
   * fewer positive ones has entries of value 0 at its end.
   * @throws InputError for rows of another width or not finite.
   */
  async encode(rows: Float32Array, options: SaeOptions = {}): Promise<SparseCode> {
    const { k } = this
    const total = this.#countRows(rows)
    const code = { rows: total, k, indices: new Uint32Array(total * k), values: new Float32Array(total * k) }
    await this.#eachPiece(rows, options, async (workspace, first, count) => {
      this.#submit(count, (recorder) => {
        this.#pass.encode(recorder, workspace, count)
        this.#pass.topK(recorder, workspace, count)
      })
      code.indices.set(new Uint32Array(await this.#pass.device.read(workspace.indices, count * k * 4)), first * k)
      code.values.set(new Float32Array(await this.#pass.device.read(workspace.values, count * k * 4)), first * k)
    })
    return sorted(code, byFallingValue(code))
  }

  /**
   * The rows [rows, width] that features stand for: the sum of value x W_dec[index], and b_dec. It is added up in the order of
   * features, so that the entries' order and how the weights are split do not change a bit.
   * @throws InputError for a feature that there is none of, a value that is not finite, or arrays that do not fit rows and k.
   */
  async decode(code: SparseCode, options: SaeOptions = {}): Promise<Float32Array> {
    this.#checkCode(code)
    return this.#decode(sorted(code, byFeature(code)), true, options)
  }

  /**
   * The rows [rows, width] as the k strongest features of each describe them.
   * @throws InputError for rows of another width or not finite.
   */
  async reconstruct(rows: Float32Array, options: SaeOptions = {}): Promise<Float32Array> {
    const out = new Float32Array(this.#countRows(rows) * this.width)
    await this.#eachPiece(rows, options, async (workspace, first, count) => {
      this.#submit(count, (recorder) => {
        this.#pass.encode(recorder, workspace, count)
        this.#pass.topK(recorder, workspace, count)
        this.#pass.decode(recorder, workspace, { count, k: this.k, biased: true })
      })
      await this.#read(workspace.rows, this.width, out, first, count)
    })
    return this.#finite(out)
  }

  /**
   * The share of the rows' variance that the reconstruction misses, EleutherAI's training loss: the squared error over the
   * squared distance from the rows' mean. 0 is perfect, 1 no better than the mean; rows of another layer give more.
   * @throws InputError for rows that do not differ, are of another width or not finite.
   */
  async fractionOfVarianceUnexplained(rows: Float32Array, options: SaeOptions = {}): Promise<number> {
    const { width } = this
    const reconstructed = await this.reconstruct(rows, options)
    const count = rows.length / width
    const mean = new Float64Array(width)
    for (const [i, x] of rows.entries()) mean[i % width]! += x / count
    let error = 0
    let variance = 0
    for (const [i, x] of rows.entries()) {
      error += (x - (reconstructed[i] as number)) ** 2
      variance += (x - (mean[i % width] as number)) ** 2
    }
    if (variance > 0) return error / variance
    throw new InputError({ where: "rows", expected: "rows that differ, to measure their variance", found: `${count} without` })
  }

  /**
   * The direction [width] of a mix of features: the sum of weights[i] x W_dec[i], without b_dec.
   * @param weights [latents]
   * @throws InputError for weights of another number or not finite.
   */
  async combine(weights: Float32Array, options: SaeOptions = {}): Promise<Float32Array> {
    if (weights.length !== this.latents) {
      throw new InputError({ where: "weights", expected: `${this.latents}, one a feature`, found: `${weights.length}` })
    }
    checkFinite(weights, "weights")
    const indices = Uint32Array.from(weights.keys()).filter((i) => weights[i] !== 0)
    const k = Math.min(TERMS, indices.length)
    if (k === 0) return new Float32Array(this.width)
    const rows = Math.ceil(indices.length / k)
    const code = { rows, k, indices: new Uint32Array(rows * k), values: new Float32Array(rows * k) }
    code.indices.set(indices)
    code.values.set(Float32Array.from(indices, (i) => weights[i] as number))
    const sum = new Float64Array(this.width)
    for (const [i, x] of (await this.#decode(code, false, options)).entries()) sum[i % this.width]! += x
    return Float32Array.from(sum)
  }

  /**
   * A feature's direction [width], W_dec[index].
   * @throws InputError for a feature that there is none of.
   */
  async feature(index: number): Promise<Float32Array> {
    this.#checkFeature(index, "feature")
    return this.#decode({ rows: 1, k: 1, indices: Uint32Array.of(index), values: Float32Array.of(1) }, false, {})
  }

  dispose(): void {
    this.#pass.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Runs rows through `visit` in pieces: their numbers are in the workspace's rows. */
  async #eachPiece(
    rows: Float32Array,
    { signal }: SaeOptions,
    visit: (workspace: SaeWorkspace, first: number, count: number) => Promise<void>,
  ): Promise<void> {
    const { device, files, pieceRows } = this.#pass
    const total = rows.length / this.width
    using workspace = new SaeWorkspace(device, files, Math.min(total, pieceRows))
    for (const { first, count } of cut(total, pieceRows)) {
      signal?.throwIfAborted()
      device.write(workspace.rows, padded(rows, this.width, first, count))
      await visit(workspace, first, count)
    }
  }

  async #decode(code: SparseCode, biased: boolean, { signal }: SaeOptions): Promise<Float32Array> {
    const { device, pieceRows } = this.#pass
    const { k } = code
    const out = new Float32Array(code.rows * this.width)
    for (const { first, count } of cut(code.rows, pieceRows)) {
      signal?.throwIfAborted()
      using indices = device.upload("features", code.indices.subarray(first * k, (first + count) * k))
      using values = device.upload("their activations", code.values.subarray(first * k, (first + count) * k))
      using rows = device.createBuffer("decoded rows", count * pad8(this.width) * 4)
      this.#submit(count, (recorder) => this.#pass.decode(recorder, { rows, indices, values }, { count, k, biased }))
      await this.#read(rows, this.width, out, first, count)
    }
    return this.#finite(out)
  }

  #submit(count: number, record: (recorder: Recorder) => void): void {
    const recorder = new Recorder(this.#pass.device, `running ${count} rows through ${this.name}`)
    record(recorder)
    recorder.submit()
  }

  /** Copies a buffer's rows [count, pad8(width)] into `out` [any, width] from row `first` on. */
  async #read(buffer: GpuBuffer, width: number, out: Float32Array, first: number, count: number): Promise<void> {
    const stride = pad8(width)
    const floats = new Float32Array(await this.#pass.device.read(buffer, count * stride * 4))
    for (let i = 0; i < count; i++) out.set(floats.subarray(i * stride, i * stride + width), (first + i) * width)
  }

  #countRows(rows: Float32Array): number {
    if (rows.length === 0 || rows.length % this.width !== 0) {
      const found = rows.length === 0 ? "no numbers" : `${rows.length} numbers`
      throw new InputError({ where: "rows", expected: `rows of width ${this.width}, as ${this.name} has`, found })
    }
    checkFinite(rows, "rows")
    return rows.length / this.width
  }

  #checkCode({ rows, k, indices, values }: SparseCode): void {
    if (rows < 1 || k < 1 || indices.length !== rows * k || values.length !== rows * k) {
      const found = `${indices.length} indices and ${values.length} values`
      throw new InputError({ where: "features", expected: `rows x k of both, ${rows} x ${k}`, found })
    }
    checkFinite(values, "features")
    for (const index of indices) this.#checkFeature(index, "features")
  }

  #checkFeature(index: number, where: string): void {
    if (Number.isInteger(index) && index >= 0 && index < this.latents) return
    throw new InputError({ where, expected: `a feature from 0 to ${this.latents - 1} of ${this.name}`, found: `${index}` })
  }

  #finite(rows: Float32Array): Float32Array {
    if (rows.every(Number.isFinite)) return rows
    throw new NotFiniteError(`${this.name}: a decoded row is not finite, so an activation overflowed`)
  }
}

function checkFinite(values: Float32Array, where: string): void {
  const bad = values.findIndex((x) => !Number.isFinite(x))
  if (bad >= 0) throw new InputError({ where, expected: "finite numbers", found: `${values[bad]} at ${bad}` })
}

/** Rows `first … first + count`, each filled up with zeros to the kernels' stride. */
function padded(rows: Float32Array, width: number, first: number, count: number): Float32Array {
  const stride = pad8(width)
  if (stride === width) return rows.subarray(first * width, (first + count) * width)
  const out = new Float32Array(count * stride)
  for (let i = 0; i < count; i++) out.set(rows.subarray((first + i) * width, (first + i + 1) * width), i * stride)
  return out
}

/** A copy of a code, each row's entries in the order that `compare` gives their places; of equal ones the first stay first. */
function sorted(code: SparseCode, compare: (a: number, b: number) => number): SparseCode {
  const { rows, k } = code
  const order = Uint32Array.from(code.indices.keys())
  for (let row = 0; row < rows; row++) order.subarray(row * k, (row + 1) * k).sort(compare)
  const indices = Uint32Array.from(order, (place) => code.indices[place] as number)
  return { rows, k, indices, values: Float32Array.from(order, (place) => code.values[place] as number) }
}

const byFallingValue = ({ values }: SparseCode): ((a: number, b: number) => number) => {
  return (a, b) => (values[b] as number) - (values[a] as number)
}

const byFeature = ({ indices }: SparseCode): ((a: number, b: number) => number) => {
  return (a, b) => (indices[a] as number) - (indices[b] as number)
}
