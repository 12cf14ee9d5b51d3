import { createServer, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { bufferSource, httpFolder, httpSource, memoryFolder, readJson } from "../../src/engine/bytes.ts"
import { InputError } from "../../src/engine/errors.ts"

const bytes = Uint8Array.from({ length: 100 }, (_, i) => i)
const part = (start: number, end: number): ArrayBuffer => bytes.slice(start, end).buffer

describe("a buffer as source", () => {
  test.each([
    ["an ArrayBuffer", bytes.slice().buffer],
    ["a view into a larger buffer", Uint8Array.from([7, 7, ...bytes, 7]).subarray(2, 102)],
  ])("%s", async (_, buffer) => {
    const source = bufferSource("b", buffer)
    expect([source.name, source.byteLength]).toEqual(["b", 100])
    expect(await source.slice(10, 13)).toEqual(part(10, 13))
    expect(await source.slice(100, 100)).toEqual(new ArrayBuffer(0))
  })

  test.each([
    [90, 101],
    [-1, 4],
    [5, 4],
  ])("refuses bytes %i to %i", async (start, end) => {
    const reading = bufferSource("b", bytes).slice(start, end)
    await expect(reading).rejects.toThrow(`b: expected bytes ${start} to ${end}, found 100 bytes; the file may be truncated`)
    await expect(reading).rejects.toThrow(InputError)
  })
})

describe("files in memory", () => {
  const folder = memoryFolder("mem", { "a.json": '{"ä": 1}', "b": bytes, "bad": new Uint8Array([0xff]), "c.json": "{\n]" })

  test("are opened and read as text", async () => {
    expect((await folder.open("b"))?.byteLength).toBe(100)
    expect(await folder.readText("a.json")).toBe('{"ä": 1}')
    expect(await readJson(folder, "a.json")).toEqual({ ä: 1 })
  })

  test("are undefined when absent", async () => {
    expect(await folder.open("x")).toBeUndefined()
    expect(await folder.open("toString")).toBeUndefined()
    expect(await folder.readText("x")).toBeUndefined()
    expect(await readJson(folder, "x")).toBeUndefined()
  })

  test("that are broken are refused on one line", async () => {
    await expect(folder.readText("bad")).rejects.toThrow("mem/bad: expected UTF-8 text, found other bytes")
    await expect(readJson(folder, "c.json")).rejects.toThrow(/^mem\/c\.json: expected JSON, found broken JSON \([^\n]+\)$/)
  })
})

describe("a URL as source", () => {
  const files: Record<string, RequestListener> = {
    "/ranges": (request, response) => {
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")
      const [start, end] = [Number(range?.[1]), Number(range?.[2])]
      if (!range) response.end(bytes)
      else response.writeHead(206, { "content-range": `bytes ${start}-${end}/100` }).end(bytes.subarray(start, end + 1))
    },
    "/no-ranges": (_, response) => void response.end(bytes),
    "/no-length": (_, response) => void response.writeHead(206, { "content-range": "bytes 0-0/*" }).end("a"),
    "/short": (_, response) => void response.writeHead(206, { "content-range": "bytes 0-0/100" }).end("a"),
    "/empty": (_, response) => void response.writeHead(416, { "content-range": "bytes */0" }).end(),
    "/forbidden": (_, response) => void response.writeHead(403).end(),
    "/text": (_, response) => void response.end("täxt"),
    "/once": (request, response) => {
      const first = request.headers.range === "bytes=0-0"
      if (first) response.writeHead(206, { "content-range": "bytes 0-0/100" }).end("a")
      else response.writeHead(503).end()
    },
    "/reset": (_, response) => void response.destroy(),
  }
  const server = createServer((request, response) => {
    const serve = files[request.url ?? ""]
    if (serve) serve(request, response)
    else response.writeHead(404).end()
  })
  let base = ""
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => void server.close())

  test("gives ranges", async () => {
    const source = await httpSource(`${base}/ranges`)
    expect([source.name, source.byteLength]).toEqual([`${base}/ranges`, 100])
    expect(await source.slice(20, 40)).toEqual(part(20, 40))
    expect(await source.slice(99, 100)).toEqual(part(99, 100))
    expect(await source.slice(7, 7)).toEqual(new ArrayBuffer(0))
    await expect(source.slice(99, 101)).rejects.toThrow("expected bytes 99 to 101, found 100 bytes")
  })

  test("may be empty", async () => {
    expect((await httpSource(`${base}/empty`)).byteLength).toBe(0)
  })

  test.each([
    ["/no-ranges", "expected a server that answers range requests (status 206 with Content-Range), found status 200"],
    ["/no-length", "expected a server that answers range requests (status 206 with Content-Range), found status 206"],
    ["/forbidden", "expected a file, found HTTP status 403"],
    ["/absent", "expected a file, found HTTP status 404"],
    ["/reset", "expected an answer, found "],
  ])("%s is refused", async (path, message) => {
    const opening = httpSource(base + path)
    await expect(opening).rejects.toThrow(InputError)
    await expect(opening).rejects.toThrow(`${base}${path}: ${message}`)
  })

  test.each([
    ["/short", "expected bytes 3 to 9, found 1 bytes"],
    ["/once", "expected a file, found HTTP status 503"],
  ])("%s fails at a later range", async (path, message) => {
    const source = await httpSource(base + path)
    await expect(source.slice(3, 9)).rejects.toThrow(`${base}${path}: ${message}`)
  })

  test("a server that is not there", async () => {
    const opening = httpSource("http://127.0.0.1:1/x")
    await expect(opening).rejects.toThrow(InputError)
    await expect(opening).rejects.toThrow("http://127.0.0.1:1/x: expected an answer, found ")
  })

  test("a base URL is a folder, with and without a slash at its end", async () => {
    for (const folder of [httpFolder(base), httpFolder(`${base}/`)]) {
      expect((await folder.open("ranges"))?.byteLength).toBe(100)
      expect(await folder.open("absent")).toBeUndefined()
      expect(await folder.readText("text")).toBe("täxt")
      expect(await folder.readText("absent")).toBeUndefined()
      await expect(folder.readText("ranges")).resolves.toHaveLength(100)
      await expect(folder.readText("forbidden")).rejects.toThrow(`${base}/forbidden: expected a file, found HTTP status 403`)
    }
  })
})
