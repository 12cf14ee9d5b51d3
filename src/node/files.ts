import { randomUUID } from "node:crypto"
import { writeSync } from "node:fs"
import { mkdir, open, readFile, rename, rm, stat, writeFile, type FileHandle } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { checkRange, decodeText, type ByteSource, type Folder } from "../engine/bytes.ts"
import { InputError } from "../engine/errors.ts"
import { reason } from "../engine/json.ts"

/** An open file. Dispose it. */
export interface FileSource extends ByteSource, AsyncDisposable {
  close(): Promise<void>
}

class OpenFile implements FileSource {
  readonly name: string
  readonly byteLength: number
  readonly #handle: FileHandle

  constructor(name: string, byteLength: number, handle: FileHandle) {
    this.name = name
    this.byteLength = byteLength
    this.#handle = handle
  }

  async slice(start: number, end: number): Promise<ArrayBuffer> {
    checkRange(this, start, end)
    const bytes = new Uint8Array(end - start)
    await this.readInto(bytes, start)
    return bytes.buffer
  }

  async readInto(target: Uint8Array, start: number): Promise<void> {
    checkRange(this, start, start + target.byteLength)
    let filled = 0
    while (filled < target.length) {
      const { bytesRead } = await this.#handle.read(target, filled, target.length - filled, start + filled)
      if (bytesRead === 0) {
        throw new InputError({
          where: this.name,
          expected: `${this.byteLength} bytes`,
          found: "fewer: it shrank while it was read",
        })
      }
      filled += bytesRead
    }
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** A folder on disk. Closing it closes every file that was opened through it. */
export interface DiskFolder extends Folder, AsyncDisposable {
  close(): Promise<void>
}

/**
 * Opens a file for reading.
 * @throws InputError when it is absent, a folder, or not readable.
 */
export async function fileSource(path: string): Promise<FileSource> {
  let handle: FileHandle | undefined
  try {
    handle = await open(path)
    const facts = await handle.stat()
    if (facts.isFile()) return new OpenFile(path, facts.size, handle)
  } catch (error) {
    await handle?.close()
    throw pathError(path, "a readable file", error)
  }
  await handle.close()
  throw new InputError({ where: path, expected: "a file", found: "a folder or device" })
}

/**
 * Opens a folder for reading.
 * @throws InputError when there is none at `path`.
 */
export async function openFolder(path: string): Promise<DiskFolder> {
  const facts = await stat(path).catch((error: unknown) => {
    throw pathError(path, "a folder", error)
  })
  if (!facts.isDirectory()) throw new InputError({ where: path, expected: "a folder", found: "a file" })
  const opened: FileSource[] = []
  const close = async (): Promise<void> => {
    await Promise.all(opened.splice(0).map((file) => file.close()))
  }
  return {
    name: path,
    async open(file) {
      const source = await unlessAbsent(fileSource(join(path, file)))
      if (source) opened.push(source)
      return source
    },
    async readText(file) {
      const where = join(path, file)
      const reading = readFile(where).catch((error: unknown) => {
        throw pathError(where, "a readable file", error)
      })
      const bytes = await unlessAbsent(reading)
      return bytes && decodeText(bytes, where)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/**
 * Writes a file whole or not at all: under another name in the same folder first, then renamed.
 * @throws InputError when it cannot be written.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  const temporary = temporaryBeside(path)
  try {
    await writeFile(temporary, data, { flag: "wx" })
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}) // the first error tells more
    throw pathError(path, "a writable file", error)
  }
}

/**
 * Writes all of `bytes` to an open file, before it returns: one write alone may take a part and say nothing.
 * @param where Names the file in the message.
 * @throws InputError when it cannot; a part may then be written.
 */
export function writeWhole(file: number, bytes: Uint8Array, where: string): void {
  try {
    for (let written = 0; written < bytes.length;) written += writeSync(file, bytes, written)
  } catch (error) {
    throw pathError(where, "room to write", error)
  }
}

/**
 * Makes sure, before long work, that {@link writeFileAtomic} can write `path`. Leaves nothing behind.
 * @throws InputError when it cannot.
 */
export async function assertWritable(path: string): Promise<void> {
  const facts = await stat(path).catch(() => undefined)
  if (facts && !facts.isFile()) throw new InputError({ where: path, expected: "a file to write", found: "a folder or device" })
  const temporary = temporaryBeside(path)
  try {
    await writeFile(temporary, "", { flag: "wx" })
    await rm(temporary)
  } catch (error) {
    throw pathError(path, "a writable file", error)
  }
}

/**
 * Makes a folder to write into, with those above it, where it is not there yet.
 * @throws InputError when it cannot be made or written.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true })
  } catch (error) {
    throw pathError(path, "a writable folder", error)
  }
  await assertWritable(join(path, ".redline"))
}

function temporaryBeside(path: string): string {
  return join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`)
}

async function unlessAbsent<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof InputError && codeOf(error.cause) === "ENOENT") return undefined
    throw error
  }
}

const FOUND: Readonly<Record<string, string>> = {
  ENOENT: "no such file or folder",
  ENOTDIR: "a file where a folder should be",
  EISDIR: "a folder",
  EEXIST: "a file",
  EACCES: "no permission",
  EPERM: "no permission",
  EROFS: "a read-only file system",
  ENOSPC: "a full disk",
  EDQUOT: "a quota that is used up",
  EFBIG: "a limit on the size of files",
}
const NO_ROOM: ReadonlySet<string | undefined> = new Set(["ENOSPC", "EDQUOT", "EFBIG"])

function pathError(path: string, expected: string, error: unknown): InputError {
  const code = codeOf(error)
  const todo = NO_ROOM.has(code) && { todo: "make room and run it again" }
  return new InputError({ where: path, expected, found: FOUND[code ?? ""] ?? reason(error), ...todo }, { cause: error })
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code
}
