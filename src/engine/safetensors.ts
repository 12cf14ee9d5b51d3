import type { ByteSource } from "./bytes.ts"
import { InputError, RedlineError } from "./errors.ts"
import { reason, show } from "./json.ts"

/** Bytes of one element, for each type of the format. */
export const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const

export type Dtype = keyof typeof dtypeBytes

/** A tensor in a file. */
export interface TensorEntry {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly source: ByteSource
  /** First byte in the file. */
  readonly begin: number
  /** The byte after the last. */
  readonly end: number
}

export interface SafetensorsFile {
  readonly source: ByteSource
  readonly metadata: Readonly<Record<string, string>>
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
}

/** The ways to break the format, in the order in which they are looked for. */
export type SafetensorsRule =
  | "file-too-short"
  | "header-too-long"
  | "header-outside-file"
  | "header-not-utf8"
  | "header-not-json"
  | "header-not-object"
  | "duplicate-name"
  | "metadata-not-strings"
  | "malformed-entry"
  | "unknown-dtype"
  | "offsets-reversed"
  | "offsets-outside-file"
  | "size-overflow"
  | "size-mismatch"
  | "overlap"
  | "hole"

/** A file that breaks a rule of the safetensors format; the message names the file, the tensor and the rule. */
export class SafetensorsError extends InputError {
  override name = "SafetensorsError"
  readonly rule: SafetensorsRule

  constructor(rule: SafetensorsRule, where: string, expected: string, found: string, todo?: string) {
    super({ where: `${where} (${rule})`, expected, found, ...(todo === undefined ? {} : { todo }) })
    this.rule = rule
  }
}

const LENGTH_BYTES = 8
const MAX_HEADER_BYTES = 100_000_000
const METADATA = "__metadata__"
const FETCH_AGAIN = "the file may be truncated: fetch it again"

/**
 * Reads and checks a file's header; the tensors' bytes stay where they are.
 *
 * The rules are those of the format's own validation (https://github.com/huggingface/safetensors#format).
 * @throws SafetensorsError when the file breaks one.
 */
export async function readSafetensors(source: ByteSource): Promise<SafetensorsFile> {
  const { text, dataStart } = await readHeader(source)
  const header = parseHeader(text, source.name)
  const entries = Object.entries(header).filter(([name]) => name !== METADATA)
  const tensors = entries.map(([name, value]) => checkEntry(name, value, source, dataStart))
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end)
  checkContiguous(tensors, source, dataStart)
  return { source, metadata: checkMetadata(header[METADATA], source.name), tensors: new Map(tensors.map((t) => [t.name, t])) }
}

async function readHeader(source: ByteSource): Promise<{ text: string; dataStart: number }> {
  const { name, byteLength } = source
  if (byteLength < LENGTH_BYTES) {
    throw new SafetensorsError(
      "file-too-short",
      name,
      "at least 8 bytes, the header's length",
      `${byteLength} bytes`,
      FETCH_AGAIN,
    )
  }
  const length = new DataView(await source.slice(0, LENGTH_BYTES)).getBigUint64(0, true)
  if (length > MAX_HEADER_BYTES) {
    const todo = "the file may not be safetensors"
    throw new SafetensorsError("header-too-long", name, `a header of at most ${MAX_HEADER_BYTES} bytes`, `${length} bytes`, todo)
  }
  const dataStart = LENGTH_BYTES + Number(length)
  if (dataStart > byteLength) {
    throw new SafetensorsError("header-outside-file", name, `a header of ${length} bytes`, `${byteLength} bytes`, FETCH_AGAIN)
  }
  return { text: decodeHeader(await source.slice(LENGTH_BYTES, dataStart), name), dataStart }
}

function decodeHeader(bytes: ArrayBuffer, name: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new SafetensorsError("header-not-utf8", name, "a header in UTF-8", "other bytes")
  }
}

function parseHeader(text: string, name: string): Record<string, unknown> {
  let header: unknown
  try {
    header = JSON.parse(text)
  } catch (error) {
    throw new SafetensorsError("header-not-json", name, "a JSON header", `broken JSON (${reason(error)})`)
  }
  if (!isObject(header)) throw new SafetensorsError("header-not-object", name, "a JSON object as header", show(header))
  const twice = duplicateKey(text)
  if (twice !== undefined) throw new SafetensorsError("duplicate-name", name, "each name once", `${show(twice)} twice`)
  return header
}

/** The first key that an object of this valid JSON has twice, at any depth: JSON.parse keeps the last and says nothing. */
function duplicateKey(json: string): string | undefined {
  const open: Set<string>[] = []
  // Strings are matched whole, so braces inside them do not count; one before a colon is a key.
  for (const [token, colon] of json.matchAll(/[{}]|"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?/g)) {
    if (token === "{") open.push(new Set())
    else if (token === "}") open.pop()
    else if (colon !== undefined) {
      const key = JSON.parse(token.slice(0, -colon.length)) as string
      if (open.at(-1)?.has(key)) return key
      open.at(-1)?.add(key)
    }
  }
  return undefined
}

function checkMetadata(value: unknown, name: string): Record<string, string> {
  if (value === undefined) return {}
  const where = `${name}, ${METADATA}`
  if (!isObject(value)) throw new SafetensorsError("metadata-not-strings", where, "an object of strings", show(value))
  for (const [key, item] of Object.entries(value)) {
    if (typeof item !== "string") {
      throw new SafetensorsError("metadata-not-strings", `${where}, ${key}`, "a string", show(item))
    }
  }
  return value as Record<string, string>
}

function checkEntry(name: string, value: unknown, source: ByteSource, dataStart: number): TensorEntry {
  const where = `${source.name}, tensor ${name}`
  const fail = (rule: SafetensorsRule, expected: string, found: string, todo?: string): never => {
    throw new SafetensorsError(rule, where, expected, found, todo)
  }
  if (!isObject(value)) return fail("malformed-entry", "an object", show(value))
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== "string") return fail("malformed-entry", "a dtype", show(dtype))
  if (!isCounts(shape)) return fail("malformed-entry", "a shape of whole numbers", show(shape))
  if (!isCounts(offsets) || offsets.length !== 2) return fail("malformed-entry", "two data_offsets", show(offsets))
  if (!isDtype(dtype)) return fail("unknown-dtype", `one of ${Object.keys(dtypeBytes).join(", ")}`, show(dtype))
  const [begin, end] = offsets as [number, number]
  if (begin > end) return fail("offsets-reversed", "a start before the end", show(offsets))
  const dataBytes = source.byteLength - dataStart
  if (end > dataBytes) return fail("offsets-outside-file", `offsets up to ${dataBytes}`, show(offsets), FETCH_AGAIN)
  const bytes = shape.reduce((product, n) => (Number.isSafeInteger(product) ? product * n : NaN), dtypeBytes[dtype] as number)
  if (!Number.isSafeInteger(bytes)) return fail("size-overflow", "a countable size", `shape ${show(shape)}`)
  if (bytes !== end - begin) return fail("size-mismatch", `${bytes} bytes for ${dtype} ${show(shape)}`, `${end - begin} bytes`)
  return { name, dtype, shape, source, begin: dataStart + begin, end: dataStart + end }
}

/** Tensors, sorted by their first byte, fill the file without overlap or hole. */
function checkContiguous(tensors: readonly TensorEntry[], source: ByteSource, dataStart: number): void {
  let expected = dataStart
  for (const { name, begin, end } of tensors) {
    if (begin !== expected) {
      const rule = begin < expected ? "overlap" : "hole"
      throw new SafetensorsError(rule, `${source.name}, tensor ${name}`, `its first byte at ${expected}`, `${begin}`)
    }
    expected = end
  }
  if (expected !== source.byteLength) {
    const last = tensors.at(-1)
    const where = last ? `${source.name}, after tensor ${last.name}` : source.name
    throw new SafetensorsError("hole", where, `the end of the file at ${expected}`, `${source.byteLength}`)
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)
}

function isDtype(name: string): name is Dtype {
  return Object.hasOwn(dtypeBytes, name)
}

/**
 * Reads a whole tensor, converted to f32 on the host: for vectors and other small tensors.
 * @throws InputError when it is not F32, F16 or BF16.
 */
export async function readTensorF32(entry: TensorEntry): Promise<Float32Array> {
  const { dtype, source, begin, end } = entry
  if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16") {
    throw new InputError({ where: `${source.name}, tensor ${entry.name}`, expected: "F32, F16 or BF16", found: dtype })
  }
  const bytes = await source.slice(begin, end)
  if (dtype === "F32") return new Float32Array(bytes)
  const halves = new Uint16Array(bytes)
  if (dtype === "F16") return Float32Array.from(halves, halfToNumber)
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer)
}

/** The value of IEEE binary16 bits. */
function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)

/**
 * A safetensors file of F32 tensors, the same bytes for the same content: names sorted, the header padded to 8 bytes.
 * @throws RedlineError when a shape does not fit its data, or a tensor is called `__metadata__`.
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const sorted = [...tensors].sort(byName)
  const header: [string, unknown][] = []
  if (Object.keys(metadata).length > 0) header.push([METADATA, Object.fromEntries(Object.entries(metadata).sort(byName))])
  let offset = 0
  for (const [name, { shape, data }] of sorted) {
    const count = shape.reduce((product, n) => product * n, 1)
    if (count !== data.length) throw new RedlineError(`tensor ${name}: ${data.length} values do not fill shape ${show(shape)}`)
    if (name === METADATA) throw new RedlineError(`a tensor cannot be called ${METADATA}`)
    header.push([name, { dtype: "F32", shape, data_offsets: [offset, offset + data.byteLength] }])
    offset += data.byteLength
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)))
  const headerBytes = Math.ceil(json.length / 8) * 8
  const file = new Uint8Array(LENGTH_BYTES + headerBytes + offset)
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true)
  file.fill(0x20, LENGTH_BYTES, LENGTH_BYTES + headerBytes)
  file.set(json, LENGTH_BYTES)
  let at = LENGTH_BYTES + headerBytes
  for (const [, { data }] of sorted) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return file
}
