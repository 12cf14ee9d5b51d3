import { type ByteSource, decodeText } from "../engine/bytes.ts"
import { InputError } from "../engine/errors.ts"
import { show } from "../engine/json.ts"
import { align, DEFAULT_ALIGNMENT, ggmlTypes, MAGIC, valueTypes, VERSION } from "./gguf-write.ts"

/** A GGUF file whose tensors are vectors, as those of control vectors are. */
export interface GgufFile {
  /** In the file's order; several may have one name. Their data [width] are F32, bit for bit. */
  readonly tensors: readonly { readonly name: string; readonly data: Float32Array }[]
  /** The metadata's text under this key; undefined when there is none. Throws an InputError when it is no text. */
  text(key: string): string | undefined
}

interface TensorInfo {
  readonly name: string
  readonly width: number
  /** First byte, counted from the start of the data. */
  readonly offset: number
}

/** Texts and u32 numbers; undefined for what is of another type. */
type Metadata = Map<string, string | number | undefined>

const { u32: U32, text: STRING, array: ARRAY } = valueTypes
const { F32 } = ggmlTypes
const ARCHITECTURE = "general.architecture"
const ALIGNMENT = "general.alignment"

// The types of metadata that matter here have names; all others are known by their size in bytes.
const fixedBytes: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }

const F32_BYTES = 4
// The other types that a vector may come in, to name them.
const otherTypes: Readonly<Record<number, string>> = { 1: "F16", 2: "Q4_0", 8: "Q8_0", 28: "F64", 30: "BF16" }

// A control vector's header has a few kilobytes; a model's, which is refused by its first key, may have many more.
const MAX_HEADER_BYTES = 16 * 2 ** 20
// Each level costs a file 12 bytes and the reader a stack frame.
const MAX_ARRAY_DEPTH = 8
const FETCH_AGAIN = "the file may be truncated: fetch it again"

/**
 * Reads a little-endian GGUF file, version 3, whose tensors are all F32 with one dimension
 * (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). Metadata of any type is allowed.
 *
 * @param architecture what `general.architecture` must be
 * @throws InputError for the first rule that the file breaks, naming the tensor or key
 */
export async function readGguf(source: ByteSource, architecture: string): Promise<GgufFile> {
  const header = new Cursor(source, await source.slice(0, Math.min(source.byteLength, MAX_HEADER_BYTES)))
  checkVersion(header)
  const tensorCount = header.count("a number of tensors")
  const metadata = readMetadata(header, architecture)
  const infos: TensorInfo[] = []
  for (let i = 0; i < tensorCount; i++) infos.push(readInfo(header, i))
  const alignment = checkAlignment(metadata, source.name)
  const dataStart = align(header.position, alignment)
  for (const info of infos) checkPlace(info, source, dataStart, alignment)
  checkOverlap(infos, source.name)

  const tensors: { name: string; data: Float32Array }[] = []
  for (const { name, width, offset } of infos) {
    const begin = dataStart + offset
    tensors.push({ name, data: new Float32Array(await source.slice(begin, begin + width * F32_BYTES)) })
  }
  return { tensors, text: (key) => textOf(metadata, key, source.name) }
}

function checkVersion(header: Cursor): void {
  const where = header.name
  const magic = header.bytes(MAGIC.length, "the letters GGUF")
  const letters = String.fromCharCode(...magic)
  if (letters !== MAGIC) throw new InputError({ where, expected: "a file that begins with GGUF", found: show(letters) })
  const version = header.u32("the version")
  if (version === VERSION) return
  const swapped = version >>> 24
  const bigEndian = version % 2 ** 24 === 0 && swapped > 0
  throw new InputError({
    where,
    expected: `GGUF version ${VERSION}, little-endian`,
    found: bigEndian ? `version ${swapped}, big-endian` : `version ${version}`,
    todo: "write it anew with the program that made it, in a newer version",
  })
}

function readMetadata(header: Cursor, architecture: string): Metadata {
  const metadata: Metadata = new Map()
  const count = header.count("a number of metadata entries")
  for (let i = 0; i < count; i++) {
    const key = header.text(`the key of metadata entry ${i}`)
    const where = `${header.name}, ${show(key)}`
    if (metadata.has(key)) throw new InputError({ where, expected: "each key once", found: "it twice" })
    metadata.set(key, readValue(header, where))
    if (key === ARCHITECTURE) checkArchitecture(metadata, header.name, architecture)
  }
  checkArchitecture(metadata, header.name, architecture)
  return metadata
}

function checkArchitecture(metadata: Metadata, file: string, architecture: string): void {
  const found = textOf(metadata, ARCHITECTURE, file)
  if (found === architecture) return
  throw new InputError({ where: `${file}, ${ARCHITECTURE}`, expected: show(architecture), found: show(found) })
}

function readValue(header: Cursor, where: string): string | number | undefined {
  const type = header.u32("a metadata type")
  if (type === STRING) return header.text("a metadata text")
  if (type === U32) return header.u32("a metadata number")
  skipValues(header, type, 1, where)
  return undefined
}

function skipValues(header: Cursor, type: number, count: number, where: string, depth = 0): void {
  const bytes = fixedBytes[type]
  if (bytes !== undefined) {
    header.skip(count * bytes, "metadata")
  } else if (type === STRING) {
    for (let i = 0; i < count; i++) header.skip(header.count("a text's length"), "a metadata text")
  } else if (type === ARRAY && depth < MAX_ARRAY_DEPTH) {
    for (let i = 0; i < count; i++) {
      const itemType = header.u32("an array's type")
      skipValues(header, itemType, header.count("an array's length"), where, depth + 1)
    }
  } else {
    const found = type === ARRAY ? "deeper ones" : `type ${type}`
    throw new InputError({ where, expected: `a type from 0 to 12, arrays at most ${MAX_ARRAY_DEPTH} deep`, found })
  }
}

function readInfo(header: Cursor, index: number): TensorInfo {
  const name = header.text(`the name of tensor ${index}`)
  if (!/^[ -~]{1,64}$/.test(name)) {
    const where = `${header.name}, tensor ${index}`
    throw new InputError({ where, expected: "a name of 1 to 64 printable characters", found: show(name) })
  }
  const where = `${header.name}, tensor ${name}`
  const rank = header.u32("a number of dimensions")
  if (rank !== 1) throw new InputError({ where, expected: "one dimension", found: `${rank}` })
  const width = header.count("a width")
  const type = header.u32("a tensor type")
  if (type !== F32) throw new InputError({ where, expected: "F32", found: otherTypes[type] ?? `type ${type}` })
  return { name, width, offset: header.count("an offset") }
}

function checkAlignment(metadata: Metadata, file: string): number {
  if (!metadata.has(ALIGNMENT)) return DEFAULT_ALIGNMENT
  const alignment = metadata.get(ALIGNMENT)
  if (typeof alignment === "number" && Number.isInteger(Math.log2(alignment))) return alignment
  const found = typeof alignment === "number" ? `${alignment}` : "another type"
  throw new InputError({ where: `${file}, ${ALIGNMENT}`, expected: "a power of two as u32", found })
}

function checkPlace({ name, width, offset }: TensorInfo, source: ByteSource, dataStart: number, alignment: number): void {
  const where = `${source.name}, tensor ${name}`
  if (offset % alignment !== 0) {
    throw new InputError({ where, expected: `an offset that is a multiple of ${alignment}`, found: `${offset}` })
  }
  const end = dataStart + offset + width * F32_BYTES
  if (end <= source.byteLength) return
  const found = `a file of ${source.byteLength} bytes`
  throw new InputError({ where, expected: `data up to byte ${end}`, found, todo: FETCH_AGAIN })
}

function checkOverlap(infos: readonly TensorInfo[], file: string): void {
  let free = 0
  for (const { name, width, offset } of infos.toSorted((a, b) => a.offset - b.offset || a.width - b.width)) {
    if (offset < free) {
      const expected = `an offset of at least ${free}, where the tensor before it ends`
      throw new InputError({ where: `${file}, tensor ${name}`, expected, found: `${offset}` })
    }
    free = offset + width * F32_BYTES
  }
}

function textOf(metadata: Metadata, key: string, file: string): string | undefined {
  const value = metadata.get(key)
  if (typeof value === "string" || !metadata.has(key)) return value as string | undefined
  throw new InputError({ where: `${file}, ${key}`, expected: "a text", found: "another type" })
}

/** A header's bytes, read one after the other. */
class Cursor {
  readonly name: string
  readonly #fileBytes: number
  readonly #view: DataView<ArrayBuffer>
  #at = 0

  constructor(source: ByteSource, header: ArrayBuffer) {
    this.name = source.name
    this.#fileBytes = source.byteLength
    this.#view = new DataView(header)
  }

  get position(): number {
    return this.#at
  }

  skip(bytes: number, what: string): void {
    this.#take(bytes, what)
  }

  u32(what: string): number {
    return this.#view.getUint32(this.#take(4, what), true)
  }

  /** A u64 that counts or places something of at least a byte, and so is never larger than the file. */
  count(what: string): number {
    const value = this.#view.getBigUint64(this.#take(8, what), true)
    if (value <= this.#fileBytes) return Number(value)
    const found = `${value}`
    throw new InputError({ where: this.name, expected: `${what} that a file of ${this.#fileBytes} bytes can hold`, found })
  }

  bytes(count: number, what: string): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#view.buffer, this.#take(count, what), count)
  }

  text(what: string): string {
    const bytes = this.bytes(this.count("a text's length"), what)
    return decodeText(bytes, `${this.name}, ${what}`)
  }

  #take(bytes: number, what: string): number {
    const start = this.#at
    this.#at += bytes
    if (this.#at <= this.#view.byteLength) return start
    if (this.#view.byteLength < this.#fileBytes) {
      const expected = `a header of at most ${MAX_HEADER_BYTES} bytes`
      throw new InputError({ where: this.name, expected, found: "a longer one" })
    }
    const found = `the end of the file after ${this.#fileBytes} bytes`
    throw new InputError({ where: this.name, expected: `${what} at byte ${start}`, found, todo: FETCH_AGAIN })
  }
}
