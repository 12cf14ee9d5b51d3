/** A value of a GGUF file's metadata: a text, a whole number of 32 bits without sign, a flag, or what its name says. */
export type GgufValue =
  | string
  | number
  | boolean
  | { readonly f32: number }
  | { readonly texts: readonly string[] }
  | { readonly i32: Int32Array }

/** A tensor as a GGUF file lists it. */
export interface GgufTensor {
  readonly name: string
  /** The row-major shape, the longest stride first; the file holds it the other way round. */
  readonly shape: readonly number[]
  readonly type: keyof typeof ggmlTypes
}

export const MAGIC = "GGUF"
export const VERSION = 3
export const DEFAULT_ALIGNMENT = 32

/** ggml's numbers for the precisions that are written. */
export const ggmlTypes = { F32: 0, F16: 1, BF16: 30 } as const
const elementBytes = { F32: 4, F16: 2, BF16: 2 } as const

/** GGUF's numbers for the types of metadata that are written. */
export const valueTypes = { u32: 4, i32: 5, f32: 6, flag: 7, text: 8, array: 9 } as const

/**
 * A GGUF file, version 3, of vectors; the same bytes for the same content.
 *
 * @param metadata in this order; the first should be `general.architecture`
 * @param tensors in this order, F32 [width] each
 */
export function encodeGguf(
  metadata: readonly (readonly [key: string, value: GgufValue])[],
  tensors: ReadonlyMap<string, Float32Array>,
): Uint8Array {
  const listed = [...tensors].map(([name, { length }]): GgufTensor => ({ name, shape: [length], type: "F32" }))
  const { header, offsets, bytes } = layOutGguf(metadata, listed)
  const file = new Uint8Array(bytes)
  file.set(header)
  for (const [i, data] of [...tensors.values()].entries()) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offsets[i])
  }
  return file
}

/** Where everything stands in a GGUF file: all of it but the tensors' data. */
export interface GgufLayout {
  /** Up to the first tensor. */
  readonly header: Uint8Array
  /** The first byte of each tensor in the file, in their order; between them stand zeros. */
  readonly offsets: readonly number[]
  /** Of the whole file. */
  readonly bytes: number
}

/** Lays a GGUF file out, version 3, with metadata and tensors in the order given. */
export function layOutGguf(
  metadata: readonly (readonly [key: string, value: GgufValue])[],
  tensors: readonly GgufTensor[],
): GgufLayout {
  let dataBytes = 0
  const offsets: number[] = []
  const infos: Uint8Array[] = []
  for (const { name, shape, type } of tensors) {
    const sizes = shape.toReversed().map((size) => u64(size))
    infos.push(textBytes(name), u32(shape.length), ...sizes, u32(ggmlTypes[type]), u64(dataBytes))
    offsets.push(dataBytes)
    const bytes = shape.reduce((product, size) => product * size, elementBytes[type])
    dataBytes += align(bytes, DEFAULT_ALIGNMENT) // llama.cpp wants the last one's padding too
  }
  const entries = metadata.flatMap(([key, value]) => [textBytes(key), ...valueBytes(value)])
  const letters = new TextEncoder().encode(MAGIC)
  const parts = [letters, u32(VERSION), u64(tensors.length), u64(metadata.length), ...entries, ...infos]
  const start = align(
    parts.reduce((sum, { length }) => sum + length, 0),
    DEFAULT_ALIGNMENT,
  )
  const header = new Uint8Array(start)
  header.set(concat(parts))
  return { header, offsets: offsets.map((offset) => start + offset), bytes: start + dataBytes }
}

function valueBytes(value: GgufValue): Uint8Array[] {
  const { u32: u32Type, i32, f32, flag, text, array } = valueTypes
  if (typeof value === "string") return [u32(text), textBytes(value)]
  if (typeof value === "number") return [u32(u32Type), u32(value)]
  if (typeof value === "boolean") return [u32(flag), Uint8Array.of(value ? 1 : 0)]
  if ("f32" in value) return [u32(f32), new Uint8Array(Float32Array.of(value.f32).buffer)]
  if ("texts" in value) return [u32(array), u32(text), u64(value.texts.length), ...value.texts.map(textBytes)]
  return [u32(array), u32(i32), u64(value.i32.length), new Uint8Array(value.i32.slice().buffer)]
}

function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}

function u64(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer)
}

function textBytes(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text)
  return concat([u64(bytes.length), bytes])
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

export function align(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment
}
