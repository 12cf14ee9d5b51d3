import { type Folder, memoryFolder } from "../../src/engine/bytes.ts"
import { decodeValues, encodeSafetensors, encodeValues, type StoredType } from "../reference/checkpoint.ts"
import { random } from "./numbers.ts"

/** A sparse autoencoder in float64. */
export interface ReferenceSae {
  readonly width: number
  readonly latents: number
  readonly k: number
  /** [latents, width] */
  readonly encoder: Float64Array
  readonly encoderBias: Float64Array
  readonly decoder: Float64Array
  readonly decoderBias: Float64Array
}

export interface SaeFileOptions {
  readonly seed?: number
  readonly width?: number
  readonly latents?: number
  readonly k?: number
  readonly dtypes?: readonly StoredType[]
  /** Fields laid over cfg.json; undefined takes a field out. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Changes the tensors before they are written. */
  readonly change?: (tensors: Map<string, { shape: number[]; data: Float64Array }>) => void
}

/** The files of a random autoencoder of odd sizes at `layers.2`, and its values after rounding. */
export function makeSae(options: SaeFileOptions = {}): { files: Record<string, Uint8Array | string>; reference: ReferenceSae } {
  const { seed = 1, width = 37, latents = 519, k = 7, dtypes = ["F32"] } = options
  const next = random(seed)
  const numbers = (count: number, size: number): Float64Array => Float64Array.from({ length: count }, () => size * next())
  const tensors = new Map([
    ["encoder.weight", { shape: [latents, width], data: numbers(latents * width, 1) }],
    ["encoder.bias", { shape: [latents], data: numbers(latents, 0.5) }],
    ["W_dec", { shape: [latents, width], data: numbers(latents * width, 0.5) }],
    ["b_dec", { shape: [width], data: numbers(width, 1) }],
  ])
  options.change?.(tensors)
  const stored = [...tensors].map(([name, { shape, data }], i) => {
    const dtype = dtypes[i % dtypes.length] as StoredType
    return { name, dtype, shape, bytes: encodeValues(dtype, data) }
  })
  const value = (name: string): Float64Array => {
    const found = stored.find((tensor) => tensor.name === name)
    return found ? decodeValues(found.dtype, found.bytes) : new Float64Array()
  }
  const config = { d_in: width, num_latents: latents, expansion_factor: 32, k, normalize_decoder: true, ...options.config }
  return {
    files: { "layers.2/cfg.json": JSON.stringify(config), "layers.2/sae.safetensors": encodeSafetensors(stored) },
    reference: {
      width,
      latents,
      k,
      encoder: value("encoder.weight"),
      encoderBias: value("encoder.bias"),
      decoder: value("W_dec"),
      decoderBias: value("b_dec"),
    },
  }
}

export function saeFolder(options: SaeFileOptions = {}): { folder: Folder; reference: ReferenceSae } {
  const { files, reference } = makeSae(options)
  return { folder: memoryFolder("sae", files), reference }
}

/** The rectified activations [rows, latents]. */
export function referenceActivations(sae: ReferenceSae, rows: ArrayLike<number>): Float64Array {
  const { width, latents, encoder, encoderBias, decoderBias } = sae
  const count = rows.length / width
  const out = new Float64Array(count * latents)
  for (let row = 0; row < count; row++) {
    for (let latent = 0; latent < latents; latent++) {
      let sum = encoderBias[latent] as number
      for (let i = 0; i < width; i++) {
        sum += ((rows[row * width + i] as number) - (decoderBias[i] as number)) * (encoder[latent * width + i] as number)
      }
      out[row * latents + latent] = Math.max(0, sum)
    }
  }
  return out
}

/** The rows that activations [rows, latents] stand for. */
export function referenceDecode(
  sae: ReferenceSae,
  activations: ArrayLike<number>,
  bias: ArrayLike<number> = sae.decoderBias,
): Float64Array {
  const { width, latents, decoder } = sae
  const out = new Float64Array((activations.length / latents) * width)
  for (let row = 0; row < activations.length / latents; row++) {
    for (let i = 0; i < width; i++) out[row * width + i] = bias[i] as number
    for (let latent = 0; latent < latents; latent++) {
      const a = activations[row * latents + latent] as number
      if (a !== 0) for (let i = 0; i < width; i++) out[row * width + i]! += a * (decoder[latent * width + i] as number)
    }
  }
  return out
}

/** The k largest of each row, the others 0; of equal ones the first stay. */
export function referenceTopK({ latents, k }: ReferenceSae, activations: Float64Array): Float64Array {
  const out = new Float64Array(activations.length)
  for (let begin = 0; begin < activations.length; begin += latents) {
    const row = activations.subarray(begin, begin + latents)
    const order = [...row.keys()].sort((a, b) => (row[b] as number) - (row[a] as number))
    for (const i of order.slice(0, k)) out[begin + i] = row[i] as number
  }
  return out
}
