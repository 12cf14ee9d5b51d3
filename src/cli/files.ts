import { stat } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { InputError, type VectorFormat } from "../index.ts"
import { assertWritable, fileSource, openFolder } from "../node.ts"
import type { Options } from "./options.ts"

/** A UTF-8 file's text. @throws InputError when it cannot be read or is not UTF-8. */
export async function readText(path: string): Promise<string> {
  await using source = await fileSource(path)
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await source.slice(0, source.byteLength))
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new InputError({ where: path, expected: "UTF-8 text", found: "other bytes" }, { cause: error })
  }
}

/** The lines of a text, blank ones left out. */
export function linesOf(text: string): string[] {
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/)
  return lines.filter((line) => line.trim() !== "")
}

/** The folder that an option names, known to be there before long work; undefined without the option. @throws InputError */
export async function folderOption(options: Options, name: string): Promise<string | undefined> {
  const path = options.text(name)
  if (path !== undefined) await (await openFolder(path)).close()
  return path
}

/** Makes sure, before long work, that a folder can be made or written to. Leaves nothing behind. @throws InputError */
export async function assertFolderWritable(path: string): Promise<void> {
  const there = await nearestThere(path)
  const refusal = (found: string, todo = "name another folder"): InputError => {
    const which = there === path ? "" : `${there}, `
    return new InputError({ where: `--out ${path}`, expected: "a folder to write to", found: `${which}${found}`, todo })
  }
  if (!(await stat(there)).isDirectory()) throw refusal("a file")
  await assertWritable(join(there, ".redline")).catch((error: unknown) => {
    throw error instanceof InputError ? refusal(`a folder that takes no file (${error.fault.found})`, error.fault.todo) : error
  })
}

/** A path, or what is there of it: the nearest folder or file above it. */
async function nearestThere(path: string): Promise<string> {
  const parent = dirname(resolve(path))
  const facts = await stat(path).catch(() => undefined)
  return facts || parent === resolve(path) ? path : nearestThere(parent)
}

/** The path that --out names. @throws InputError when it is of none of these formats or cannot be written. */
export async function checkedOut(path: string, formats: readonly VectorFormat[]): Promise<string> {
  if (!formats.some((format) => path.toLowerCase().endsWith(`.${format}`))) {
    const expected = `a name that ends in ${formats.map((format) => `.${format}`).join(" or ")}`
    throw new InputError({ where: `--out ${path}`, expected, found: "another" })
  }
  await assertWritable(path)
  return path
}
