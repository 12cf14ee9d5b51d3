import { readdir, readFile } from "node:fs/promises"
import { extname, join } from "node:path"
import { InputError } from "../engine/errors.ts"
import { sha256 } from "./run-folder.ts"

/** A file of the page, in memory. */
export interface PageFile {
  readonly type: string
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly etag: string
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
}

/**
 * The page's files by the path that they are served under. They are read once: what a visitor asks for is looked up among them
 * and reaches no disk.
 * @throws InputError for a folder without index.html.
 */
export async function readPage(folder: string): Promise<ReadonlyMap<string, PageFile>> {
  const names = await readdir(folder).catch((): string[] => [])
  const files = new Map<string, PageFile>()
  for (const name of names) {
    const type = TYPES[extname(name)]
    if (type === undefined) continue
    const bytes = new Uint8Array(await readFile(join(folder, name)))
    files.set(`/${name}`, { type, bytes, etag: `"${sha256(bytes)}"` })
  }
  const index = files.get("/index.html")
  if (!index) {
    const todo = "build it with npm run build"
    throw new InputError({ where: folder, expected: "the demo's page with index.html", found: "none", todo })
  }
  return files.set("/", index)
}
