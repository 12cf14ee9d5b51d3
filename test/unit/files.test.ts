import { closeSync, openSync, readFileSync } from "node:fs"
import { mkdir, mkdtemp, readFile, readdir, rm, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { assertWritable, fileSource, makeFolder, openFolder, writeFileAtomic, writeWhole } from "../../src/node/files.ts"

let root = ""
let here = ""
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "redline-files-"))
})
beforeEach(async () => {
  here = await mkdtemp(join(root, "test-"))
})
afterAll(() => rm(root, { recursive: true }))

const expectRefused = async (work: Promise<unknown>, message: string): Promise<void> => {
  await expect(work).rejects.toThrow(InputError)
  await expect(work).rejects.toThrow(message)
}

describe("a file as source", () => {
  test("gives pieces, at once too", async () => {
    const path = join(here, "a")
    await writeFile(
      path,
      Uint8Array.from({ length: 1000 }, (_, i) => i),
    )
    await using source = await fileSource(path)
    expect([source.name, source.byteLength]).toEqual([path, 1000])
    const [one, other, none] = await Promise.all([source.slice(3, 5), source.slice(999, 1000), source.slice(1000, 1000)])
    expect([...new Uint8Array(one)]).toEqual([3, 4])
    expect([...new Uint8Array(other)]).toEqual([999 % 256])
    expect(none.byteLength).toBe(0)
    await expectRefused(source.slice(990, 1001), `${path}: expected bytes 990 to 1001, found 1000 bytes`)
  })

  test("that shrinks while it is read is refused", async () => {
    const path = join(here, "a")
    await writeFile(path, "0123456789")
    await using source = await fileSource(path)
    await truncate(path, 4)
    await expectRefused(source.slice(0, 10), `${path}: expected 10 bytes, found fewer: it shrank while it was read`)
  })

  test("is closed by its disposal", async () => {
    const path = join(here, "a")
    await writeFile(path, "0123456789")
    const source = await fileSource(path)
    await source[Symbol.asyncDispose]()
    await expect(source.slice(0, 1)).rejects.toThrow("file closed")
  })

  test("must be there and be a file", async () => {
    await expectRefused(fileSource(join(here, "x")), `${join(here, "x")}: expected a readable file, found no such file or folder`)
    await expectRefused(fileSource(here), `${here}: expected a file, found a folder or device`)
  })
})

describe("a folder", () => {
  test("opens its files and closes them", async () => {
    await writeFile(join(here, "a"), "text ä")
    const folder = await openFolder(here)
    expect(folder.name).toBe(here)
    const source = await folder.open("a")
    expect(source?.byteLength).toBe(7)
    expect(await folder.readText("a")).toBe("text ä")
    await folder.close()
    await expect(source?.slice(0, 1)).rejects.toThrow("file closed")
  })

  test("gives undefined for files that are absent", async () => {
    await using folder = await openFolder(here)
    expect(await folder.open("x")).toBeUndefined()
    expect(await folder.readText("x")).toBeUndefined()
  })

  test("refuses what cannot be read as a file or as text", async () => {
    await mkdir(join(here, "sub"))
    await writeFile(join(here, "bad"), new Uint8Array([0xff]))
    await using folder = await openFolder(here)
    await expectRefused(folder.open("sub"), `${join(here, "sub")}: expected a file, found a folder or device`)
    await expectRefused(folder.readText("sub"), `${join(here, "sub")}: expected a readable file, found a folder`)
    await expectRefused(folder.readText("bad"), `${join(here, "bad")}: expected UTF-8 text, found other bytes`)
  })

  test("must be there and be a folder", async () => {
    await expectRefused(openFolder(join(here, "x")), `${join(here, "x")}: expected a folder, found no such file or folder`)
    await writeFile(join(here, "a"), "")
    await expectRefused(openFolder(join(here, "a")), `${join(here, "a")}: expected a folder, found a file`)
  })
})

describe("writing", () => {
  test("makes and replaces a file, and leaves nothing else", async () => {
    const path = join(here, "out.json")
    await assertWritable(path)
    expect(await readdir(here)).toEqual([])
    await writeFileAtomic(path, "one")
    await assertWritable(path)
    expect(await readFile(path, "utf8")).toBe("one")
    await writeFileAtomic(path, new Uint8Array([50, 51]))
    expect(await readFile(path, "utf8")).toBe("23")
    expect(await readdir(here)).toEqual(["out.json"])
  })

  // Permissions do not stop root, so the table takes paths that nobody can write.
  const cases: [string, string, string][] = [
    ["a folder that is not there", "x/out", "expected a writable file, found no such file or folder"],
    ["below a file", "a/out", "expected a writable file, found a file where a folder should be"],
    ["a name that is too long", "n".repeat(300), "expected a writable file, found ENAMETOOLONG"],
  ]
  test.each(cases)("%s is refused", async (_, name, message) => {
    await writeFile(join(here, "a"), "kept")
    const path = join(here, name)
    await expectRefused(writeFileAtomic(path, "new"), `${path}: ${message}`)
    await expectRefused(assertWritable(path), `${path}: ${message}`)
    expect(await readdir(here)).toEqual(["a"])
  })

  test("over a folder is refused, with nothing left beside it", async () => {
    const path = join(here, "sub")
    await mkdir(path)
    await expectRefused(writeFileAtomic(path, "new"), `${path}: expected a writable file, found a folder`)
    await expectRefused(assertWritable(path), `${path}: expected a file to write, found a folder or device`)
    expect(await readdir(here)).toEqual(["sub"])
  })

  test("to an open file writes every byte, and says that a disk is full", () => {
    const path = join(here, "a")
    const file = openSync(path, "a")
    writeWhole(file, Buffer.from("one "), path)
    writeWhole(file, Buffer.from("two"), path)
    closeSync(file)
    expect(readFileSync(path, "utf8")).toBe("one two")
    const full = openSync("/dev/full", "w")
    const write = (): void => writeWhole(full, Buffer.from("x"), path)
    expect(write).toThrow(InputError)
    expect(write).toThrow(`${path}: expected room to write, found a full disk; make room and run it again`)
    closeSync(full)
  })

  test("into a folder makes those above it, and leaves it empty", async () => {
    const path = join(here, "x", "y")
    await makeFolder(path)
    await makeFolder(path)
    expect(await readdir(path)).toEqual([])
    await writeFile(join(here, "a"), "kept")
    await expectRefused(makeFolder(join(here, "a")), `${join(here, "a")}: expected a writable folder, found a file`)
    await expectRefused(makeFolder(join(here, "a", "b")), "expected a writable folder, found a file where a folder should be")
  })
})
