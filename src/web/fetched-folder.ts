import { type ByteSource, checkRange, decodeText, type Folder } from "../engine/bytes.ts"
import { RedlineError } from "../engine/errors.ts"
import { reason } from "../engine/json.ts"

/** A file of a static site, as its build knows it. */
export interface SiteFile {
  readonly bytes: number
  /** Hex. */
  readonly sha256: string
}

/** What keeps files from one visit to the next: the Cache API, as far as it is needed here. */
export interface FileCache {
  match(url: string): Promise<Response | undefined>
  put(url: string, response: Response): Promise<void>
}

/** Of a safetensors file, its first bytes in a file of their own: the weights wait until they are needed. */
export const HEADER = ".header"

/**
 * A folder on a static server, whose files are fetched whole, once, when they are first read: the server need not answer ranges.
 * Bytes are handed on as they arrive, so that a model's way to the GPU begins with its first ones.
 */
export function fetchedFolder(
  name: string,
  baseUrl: string,
  files: Readonly<Record<string, SiteFile>>,
  cache: FileCache | undefined,
): Folder {
  const entry = (file: string): SiteFile | undefined => (Object.hasOwn(files, file) ? files[file] : undefined)
  const arrivals = new Map<string, Arrival>()
  const upTo = (file: string, end: number): Promise<Uint8Array> => {
    const header = entry(file + HEADER)
    const from = header && end <= header.bytes ? file + HEADER : file
    const known = arrivals.get(from)
    const arrival = known && !known.failed ? known : new Arrival(`${baseUrl}${from}`, entry(from) as SiteFile, cache)
    arrivals.set(from, arrival)
    return arrival.upTo(end)
  }
  return {
    name,
    async open(file) {
      const found = entry(file)
      if (!found) return undefined
      const source: ByteSource = {
        name: file,
        byteLength: found.bytes,
        async slice(start, end) {
          checkRange(source, start, end)
          return Uint8Array.from((await upTo(file, end)).subarray(start, end)).buffer
        },
        async readInto(target, start) {
          const end = start + target.byteLength
          checkRange(source, start, end)
          target.set((await upTo(file, end)).subarray(start, end))
        },
      }
      return source
    },
    async readText(file) {
      const found = entry(file)
      return found && decodeText(await upTo(file, found.bytes), `${name}/${file}`)
    },
  }
}

/** A file on its way. */
class Arrival {
  failed = false
  readonly #url: string
  readonly #file: SiteFile
  readonly #bytes: Uint8Array<ArrayBuffer>
  #arrived = 0
  #error: unknown
  #waiting: (() => void)[] = []

  constructor(url: string, file: SiteFile, cache: FileCache | undefined) {
    // The hash is part of the address: to every cache on the way, another version is another file.
    this.#url = `${url}?sha256=${file.sha256}`
    this.#file = file
    this.#bytes = new Uint8Array(file.bytes)
    this.#fill(cache).catch((error: unknown) => {
      this.failed = true
      this.#error = error
      this.#wake()
    })
  }

  /** The file's bytes, of which the first `end` have come. @throws RedlineError when they do not come. */
  async upTo(end: number): Promise<Uint8Array> {
    while (this.#arrived < end && !this.failed) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    if (this.#arrived < end) throw this.#error
    return this.#bytes
  }

  async #fill(cache: FileCache | undefined): Promise<void> {
    const kept = await cache?.match(this.#url)
    const response = kept ?? (await fetch(this.#url).catch((error: unknown) => this.#fail(reason(error), error)))
    if (!response.ok || !response.body) this.#fail(`HTTP status ${response.status}`)
    const reader = response.body.getReader()
    let arrived = 0
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      if (arrived + piece.value.length > this.#file.bytes) this.#fail(`more than its ${this.#file.bytes} bytes`)
      this.#bytes.set(piece.value, arrived)
      arrived += piece.value.length
      // The last bytes wait until the whole has been checked.
      if (arrived < this.#file.bytes) this.#advance(arrived)
    }
    if (arrived < this.#file.bytes) this.#fail(`${arrived} of its ${this.#file.bytes} bytes`)
    if (hex(await crypto.subtle.digest("SHA-256", this.#bytes)) !== this.#file.sha256)
      this.#fail("other bytes than the page was built for")
    this.#advance(arrived)
    // Where there is no room to keep it, it is fetched again at the next visit.
    if (!kept) await cache?.put(this.#url, new Response(this.#bytes)).catch(() => {})
  }

  #fail(found: string, cause?: unknown): never {
    throw new RedlineError(`${this.#url}: expected the file, found ${found}; load the page again`, { cause })
  }

  #advance(arrived: number): void {
    this.#arrived = arrived
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

const hex = (bytes: ArrayBuffer): string =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("")
