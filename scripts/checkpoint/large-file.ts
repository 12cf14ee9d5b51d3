import { randomUUID } from "node:crypto"
import { type FileHandle, open, rename, rm, statfs } from "node:fs/promises"
import { InputError, RedlineError } from "../../src/index.ts"

/**
 * Writes a file piece by piece that appears whole or not at all.
 * @throws InputError when it cannot be written.
 */
export async function writeLarge(path: string, write: (handle: FileHandle) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    const handle = await open(temporary, "wx")
    try {
      await write(handle)
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}) // the first error tells more
    if (error instanceof RedlineError) throw error // of what is read meanwhile
    const { message: found } = error as Error
    throw new InputError({ where: path, expected: "room to write", found, todo: "make room and run it again" }, { cause: error })
  }
}

/** Writes all of some bytes where the file stands. */
export async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten
}

/** @throws InputError when a folder's disk lacks room for so many bytes. */
export async function assertRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize > bytes) return
  const gb = (n: number): string => `${(n / 1e9).toFixed(1)} GB`
  const [expected, found] = [`room for ${gb(bytes)}`, `${gb(bavail * bsize)} free`]
  throw new InputError({ where: folder, expected, found, todo: "make room or name a folder on another disk" })
}
