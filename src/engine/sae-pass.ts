import { addBias } from "../kernels/add-bias.ts"
import { findBad } from "../kernels/find-bad.ts"
import { pad8 } from "../kernels/kernel.ts"
import { matmul } from "../kernels/matmul.ts"
import { chooseMatmul, type KernelShapes, kernelShapes } from "../kernels/shapes.ts"
import { sparseSum } from "../kernels/sparse-sum.ts"
import { topK } from "../kernels/top-k.ts"
import type { Device, GpuBuffer } from "./device.ts"
import { InputError } from "./errors.ts"
import { Recorder } from "./recorder.ts"
import { openSae, type SaeConfig, type SaeFiles } from "./sae-files.ts"
import type { Folder } from "./bytes.ts"
import { type LoadOptions, type Matrix, TensorLoader } from "./weights.ts"

interface SaeWeights {
  /** [latents, width] */
  readonly encoder: Matrix
  readonly encoderBias: GpuBuffer
  /** [latents, width]: a feature's direction in each row. */
  readonly decoder: Matrix
  readonly decoderBias: GpuBuffer
  readonly minusDecoderBias: GpuBuffer
}

/** Bytes of a piece's largest buffer, and its rows, at most: more rows are processed in pieces. */
const MAX_PIECE_BYTES = 256 * 2 ** 20
const MAX_PIECE_ROWS = 16384

/** The buffers that a piece of rows works in. */
export class SaeWorkspace implements Disposable {
  /** f32 [rows, pad8(width)] */
  readonly rows: GpuBuffer
  /** f32 [rows, pad8(latents)] */
  readonly features: GpuBuffer
  /** u32 and f32 [rows, k] */
  readonly indices: GpuBuffer
  readonly values: GpuBuffer

  constructor(device: Device, { width, latents, k }: SaeConfig, rows: number) {
    this.rows = device.createBuffer("rows of residuals", rows * pad8(width) * 4)
    this.features = device.createBuffer("features", rows * pad8(latents) * 4)
    this.indices = device.createBuffer("strongest features", rows * k * 4)
    this.values = device.createBuffer("their activations", rows * k * 4)
  }

  dispose(): void {
    for (const buffer of [this.rows, this.features, this.indices, this.values]) buffer.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** The weights of a sparse autoencoder and the steps of its forward pass. */
export class SaePass implements Disposable {
  readonly device: Device
  readonly files: SaeFiles
  readonly #weights: SaeWeights
  readonly #buffers: readonly GpuBuffer[]
  readonly #shapes: KernelShapes

  private constructor(device: Device, files: SaeFiles, weights: SaeWeights, buffers: readonly GpuBuffer[]) {
    this.device = device
    this.files = files
    this.#weights = weights
    this.#buffers = buffers
    this.#shapes = kernelShapes(device.facts)
  }

  static async load(
    folder: Folder,
    layer: number,
    device: Device,
    width: number | undefined,
    options: LoadOptions,
  ): Promise<SaePass> {
    const files = await openSae(folder, layer, width)
    const loader = new TensorLoader(device, files, options)
    try {
      const decoderBias = await loader.vector("b_dec")
      const minus = new Float32Array(await device.read(decoderBias, files.width * 4)).map((x) => -x)
      const weights = {
        encoder: await loader.matrix("encoder.weight"),
        encoderBias: await loader.vector("encoder.bias"),
        decoder: await loader.matrix("W_dec"),
        decoderBias,
        minusDecoderBias: loader.floats("-b_dec", minus),
      }
      await loader.flush()
      await checkFinite(device, files.name, weights)
      return new SaePass(device, files, weights, loader.buffers)
    } catch (error) {
      loader.dispose()
      throw error
    } finally {
      device.doing("waiting for work")
    }
  }

  /** The rows that a piece has at most. */
  get pieceRows(): number {
    const { width, latents } = this.files
    const bytes = Math.min(MAX_PIECE_BYTES, this.device.maxBinding)
    return Math.max(1, Math.min(MAX_PIECE_ROWS, Math.floor(bytes / (Math.max(pad8(width), pad8(latents)) * 4))))
  }

  /** features = ReLU(encoder (rows - b_dec) + bias); the rows are moved by b_dec. */
  encode(recorder: Recorder, { rows, features }: SaeWorkspace, count: number): void {
    const { width, latents } = this.files
    const { encoder, encoderBias, minusDecoderBias } = this.#weights
    recorder.run(addBias({ width, rectify: false }), [rows, minusDecoderBias], { rows: count })
    const variant = chooseMatmul(this.#shapes, count)
    for (const { type, buffer, firstRow, rows: chunkRows } of encoder.chunks) {
      const kernel = matmul({ rows: chunkRows, columns: width, type, variant })
      recorder.run(kernel, [rows, buffer, features], { tokens: count, outStride: pad8(latents), outOffset: firstRow })
    }
    recorder.run(addBias({ width: latents, rectify: true }), [features, encoderBias], { rows: count })
  }

  /** indices, values = the k strongest features, in the order of features. */
  topK(recorder: Recorder, { features, indices, values }: SaeWorkspace, count: number): void {
    const { latents, k } = this.files
    const lanes = this.#shapes.vocabularyLanes
    recorder.run(topK({ width: latents, k, lanes }), [features, indices, values], { rows: count })
  }

  /** rows [count, pad8(width)] = the sum of values x W_dec[indices], of k terms each, and b_dec where `biased`. */
  decode(
    recorder: Recorder,
    { rows, indices, values }: Pick<SaeWorkspace, "rows" | "indices" | "values">,
    { count, k, biased }: { readonly count: number; readonly k: number; readonly biased: boolean },
  ): void {
    const { width } = this.files
    const { decoder, decoderBias } = this.#weights
    recorder.clear(rows)
    if (biased) recorder.run(addBias({ width, rectify: false }), [rows, decoderBias], { rows: count })
    for (const { type, buffer, firstRow, rows: chunkRows } of decoder.chunks) {
      recorder.run(sparseSum({ width, k, type }), [indices, values, buffer, rows], { rows: count, firstRow, chunkRows })
    }
  }

  dispose(): void {
    for (const buffer of this.#buffers) buffer.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** @throws InputError naming the first tensor that holds NaN or infinity. */
async function checkFinite(device: Device, name: string, weights: SaeWeights): Promise<void> {
  const { encoder, encoderBias, decoder, decoderBias } = weights
  const parts = [
    ...[...encoder.chunks, ...decoder.chunks].map(({ buffer, type }) => ({ buffer, type })),
    ...[encoderBias, decoderBias].map((buffer) => ({ buffer, type: "f32" as const })),
  ]
  for (const { buffer, type } of parts) {
    using found = device.createBuffer("found", 4)
    const recorder = new Recorder(device, `looking for NaN in ${buffer.label}`)
    recorder.run(findBad({ type }), [buffer, found], { words: buffer.size / 4 })
    recorder.submit()
    if (new Uint32Array(await device.read(found, 4))[0] === 0) continue
    throw new InputError({
      where: `${name}/sae.safetensors, tensor ${buffer.label}`,
      expected: "finite numbers",
      found: "NaN or infinity",
      todo: "fetch the autoencoder again",
    })
  }
}
