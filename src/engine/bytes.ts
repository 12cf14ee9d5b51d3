import { InputError } from "./errors.ts"
import { parseJson, reason } from "./json.ts"

/** Bytes that are read in pieces: a file, a buffer, a URL. */
export interface ByteSource {
  /** The file's name, for messages. */
  readonly name: string
  readonly byteLength: number
  /**
   * The bytes from `start` up to, not including, `end`.
   * @throws InputError when the source has fewer.
   */
  slice(start: number, end: number): Promise<ArrayBuffer>
  /**
   * Fills `target` with the bytes from `start` on, where that spares a copy.
   * @throws InputError when the source has fewer.
   */
  readInto?(target: Uint8Array, start: number): Promise<void>
}

/** Fills `target` with a source's bytes from `start` on. @throws InputError when it has fewer. */
export async function readInto(source: ByteSource, target: Uint8Array, start: number): Promise<void> {
  if (source.readInto) return source.readInto(target, start)
  target.set(new Uint8Array(await source.slice(start, start + target.byteLength)))
}

/** A place with named files: a folder on disk, a base URL, files in memory. */
export interface Folder {
  /** For messages. */
  readonly name: string
  /** Undefined when there is no such file. */
  open(file: string): Promise<ByteSource | undefined>
  /**
   * The file as UTF-8 text, undefined when there is no such file.
   * @throws InputError when it is not UTF-8.
   */
  readText(file: string): Promise<string | undefined>
}

/** Bytes that are in memory already. They are not copied: do not change them while the source is in use. */
export function bufferSource(name: string, bytes: ArrayBuffer | Uint8Array): ByteSource {
  const view = bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes)
  const source: ByteSource = {
    name,
    byteLength: view.byteLength,
    async slice(start, end) {
      checkRange(source, start, end)
      return Uint8Array.from(view.subarray(start, end)).buffer
    },
  }
  return source
}

/** A folder of files in memory, texts or bytes. */
export function memoryFolder(name: string, files: Readonly<Record<string, string | Uint8Array>>): Folder {
  const bytesOf = (file: string): Uint8Array | undefined => {
    const found = Object.hasOwn(files, file) ? files[file] : undefined
    return typeof found === "string" ? new TextEncoder().encode(found) : found
  }
  return {
    name,
    async open(file) {
      const bytes = bytesOf(file)
      return bytes && bufferSource(file, bytes)
    },
    async readText(file) {
      const bytes = bytesOf(file)
      return bytes && decodeText(bytes, `${name}/${file}`)
    },
  }
}

/**
 * A file on a server that answers range requests.
 * @throws InputError when it is not there, or the server ignores ranges.
 */
export async function httpSource(url: string): Promise<ByteSource> {
  const source = await openUrl(url)
  if (!source) throw new InputError({ where: url, expected: "a file", found: "HTTP status 404" })
  return source
}

/** The files under a base URL, such as `https://host/model/`. Nothing is asked of the server yet. */
export function httpFolder(baseUrl: string): Folder {
  const base = baseUrl.endsWith("/") ? baseUrl : `${baseUrl}/`
  return {
    name: base,
    open: (file) => openUrl(base + file),
    async readText(file) {
      const url = base + file
      const response = await request(url)
      if (response.status === 404) return undefined
      if (!response.ok) throw statusError(url, response)
      return decodeText(new Uint8Array(await body(url, response)), url)
    },
  }
}

/**
 * Parses a JSON file of a folder; undefined when there is no such file.
 * @throws InputError when it is not JSON.
 */
export async function readJson(folder: Folder, file: string): Promise<unknown> {
  const text = await folder.readText(file)
  return text === undefined ? undefined : parseJson(text, `${folder.name}/${file}`)
}

/** @throws InputError when `bytes` are not UTF-8. */
export function decodeText(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch (error) {
    throw new InputError({ where, expected: "UTF-8 text", found: "other bytes" }, { cause: error })
  }
}

/** @throws InputError when `start` to `end` is not inside the source. */
export function checkRange(source: ByteSource, start: number, end: number): void {
  if (start >= 0 && start <= end && end <= source.byteLength) return
  throw new InputError({
    where: source.name,
    expected: `bytes ${start} to ${end}`,
    found: `${source.byteLength} bytes`,
    todo: "the file may be truncated: fetch it again",
  })
}

// One ranged request gives the length and shows whether the server answers ranges.
async function openUrl(url: string): Promise<ByteSource | undefined> {
  const response = await request(url, "bytes=0-0")
  await response.body?.cancel()
  if (response.status === 404) return undefined
  const total = /\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1]
  const empty = response.status === 416 && total === "0" // an empty file has no byte 0
  if (response.status !== 206 && !empty) throw response.ok ? rangeError(url, response) : statusError(url, response)
  if (total === undefined) throw rangeError(url, response)
  const source: ByteSource = {
    name: url,
    byteLength: Number(total),
    async slice(start, end) {
      checkRange(source, start, end)
      return start === end ? new ArrayBuffer(0) : fetchRange(url, start, end)
    },
  }
  return source
}

async function fetchRange(url: string, start: number, end: number): Promise<ArrayBuffer> {
  const response = await request(url, `bytes=${start}-${end - 1}`)
  if (response.status !== 206) {
    await response.body?.cancel()
    throw response.ok ? rangeError(url, response) : statusError(url, response)
  }
  const bytes = await body(url, response)
  if (bytes.byteLength === end - start) return bytes
  throw new InputError({ where: url, expected: `bytes ${start} to ${end}`, found: `${bytes.byteLength} bytes` })
}

async function request(url: string, range?: string): Promise<Response> {
  try {
    return await fetch(url, range === undefined ? {} : { headers: { range } })
  } catch (error) {
    throw unreachable(url, error)
  }
}

async function body(url: string, response: Response): Promise<ArrayBuffer> {
  try {
    return await response.arrayBuffer()
  } catch (error) {
    throw unreachable(url, error)
  }
}

// fetch says «fetch failed» and keeps what happened in the cause.
function unreachable(url: string, error: unknown): InputError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return new InputError({ where: url, expected: "an answer", found: reason(cause) || "none" }, { cause: error })
}

function statusError(url: string, response: Response): InputError {
  return new InputError({ where: url, expected: "a file", found: `HTTP status ${response.status}` })
}

function rangeError(url: string, response: Response): InputError {
  return new InputError({
    where: url,
    expected: "a server that answers range requests (status 206 with Content-Range)",
    found: `status ${response.status}`,
    todo: "download the file or choose another server",
  })
}
