import { closeSync, ftruncateSync, openSync } from "node:fs"
import { readFile, stat, truncate } from "node:fs/promises"
import { decodeText } from "../engine/bytes.ts"
import { writeWhole } from "./files.ts"

/** A file of lines that is open for appending. Close it. */
export interface AppendFile {
  /**
   * Adds text at the end, before it returns: a kill later loses nothing of it.
   * @throws InputError when the disk is full; what stood there before stays.
   */
  readonly append: (text: string) => void
  readonly close: () => void
}

/** Opens a file for appending; what stands after its first `length` bytes is dropped. */
export async function openAppend(path: string, length: number): Promise<AppendFile> {
  await truncate(path, length).catch(() => {}) // absent when nothing was appended
  const file = openSync(path, "a")
  let open = true
  const close = (): void => {
    if (open) closeSync(file)
    open = false
  }
  return {
    append(text) {
      const bytes = Buffer.from(text)
      try {
        writeWhole(file, bytes, path)
      } catch (error) {
        cutBack(file, length)
        throw error
      }
      length += bytes.length
    },
    close,
  }
}

/** The whole lines of a file, and whether a torn one follows; undefined where there is no file. */
export async function wholeLines(path: string): Promise<{ lines: string; bytes: number; torn: boolean } | undefined> {
  if (!(await stat(path).catch(() => undefined))) return undefined
  // A kill may leave half a character: cut at the last whole line first.
  const bytes = await readFile(path)
  const end = bytes.lastIndexOf(10) + 1
  return { lines: decodeText(bytes.subarray(0, end), path), bytes: end, torn: end < bytes.length }
}

/** Best effort: what is torn at the end is dropped when the work goes on. */
function cutBack(file: number, length: number): void {
  try {
    ftruncateSync(file, length)
  } catch {}
}
