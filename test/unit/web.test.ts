import { createHash } from "node:crypto"
import { createServer, type RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { MessageChannel } from "node:worker_threads"
import { afterEach, expect, test } from "vitest"
import { openBrowserDevice } from "../../src/web/browser-device.ts"
import { fetchedFolder, type FileCache, HEADER, type SiteFile } from "../../src/web/fetched-folder.ts"
import { httpConnection } from "../../src/web/http.ts"
import { type Choices, missing, readChoices, writeChoices } from "../../src/web/page/choices.ts"
import { scaleOf } from "../../src/web/page/scale.ts"
import type { Catalogue, Connection } from "../../src/web/protocol.ts"
import { workerConnection } from "../../src/web/worker-connection.ts"
import { answerMessages } from "../../src/web/worker-service.ts"

const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

async function server(listener: RequestListener): Promise<URL> {
  const made = createServer(listener)
  await new Promise<void>((resolve) => void made.listen(0, "127.0.0.1", resolve))
  closing.push(() => {
    made.closeAllConnections()
    made.close()
  })
  return new URL(`http://127.0.0.1:${(made.address() as AddressInfo).port}/`)
}

async function all<T>(events: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const event of events) list.push(event)
  return list
}

test.each([
  ["a page that is not secure", false, undefined, "Open it over https, or on localhost."],
  ["a browser without WebGPU", true, undefined, "this browser does not offer. Open it in Chrome"],
  [
    "a browser without a GPU",
    true,
    { requestAdapter: async () => null },
    "gives this page no GPU. Switch on hardware acceleration",
  ],
])("%s is told what to do", async (_name, isSecureContext, gpu, message) => {
  const opening = openBrowserDevice({ isSecureContext, navigator: gpu ? { gpu } : {} })
  await expect(opening).rejects.toThrow(message)
})

// A worker's two ends, and an engine that answers with the request until it is told to stop.
function worker(open: (onLost: () => void) => Promise<Connection>): Connection {
  const { port1, port2 } = new MessageChannel()
  closing.push(() => port1.close())
  const port = (end: typeof port1) => ({
    postMessage: end.postMessage.bind(end),
    addEventListener: (type: string, listener: (event: never) => void) => end.on(type, (data) => listener({ data } as never)),
  })
  answerMessages(port(port2) as never, open)
  return workerConnection(port(port1) as never)
}

const echo = (stopped: string[]): Connection => ({
  async *ask(kind, request, signal) {
    yield { type: "done", kind, request } as never
    if (kind === "catalogue") return
    await new Promise((resolve) => signal?.addEventListener("abort", resolve))
    stopped.push(kind)
  },
})

test("a worker answers several requests at a time, and one that is aborted ends and stops the work", async () => {
  const stopped: string[] = []
  const connection = worker(async () => echo(stopped))
  const abort = new AbortController()
  const waiting = connection.ask("find", { model: "m" } as never, abort.signal)[Symbol.asyncIterator]()
  expect((await waiting.next()).value).toEqual({ type: "done", kind: "find", request: { model: "m" } })
  expect(await all(connection.ask("catalogue", {}))).toEqual([{ type: "done", kind: "catalogue", request: {} }])
  expect(stopped).toEqual([])
  abort.abort()
  expect((await waiting.next()).done).toBe(true)
  await expect.poll(() => stopped).toEqual(["find"])
  expect(await all(connection.ask("find", {} as never, abort.signal))).toEqual([])
})

test("an engine that does not open is said, and the next request opens it again, as it does when the engine was lost", async () => {
  let opened = 0
  let lose = (): void => {}
  const connection = worker(async (onLost) => {
    lose = onLost
    if (++opened === 1) throw new Error("no GPU")
    return echo([])
  })
  expect(await all(connection.ask("catalogue", {}))).toEqual([{ type: "failed", message: "no GPU", bad: false }])
  expect(await all(connection.ask("catalogue", {}))).toHaveLength(1)
  expect(await all(connection.ask("catalogue", {}))).toHaveLength(1)
  expect(opened).toBe(2)
  lose()
  await all(connection.ask("catalogue", {}))
  expect(opened).toBe(3)
})

test.each([
  [{}, "it did not load"],
  [{ message: "" }, "it did not load"],
  [{ message: "no such thing" }, "no such thing"],
])("a worker's error %j is told to the requests that wait, and to every later one", async (event, why) => {
  let fail = (_event: object): void => {}
  const connection = workerConnection({
    postMessage: () => {},
    addEventListener: (type: string, listener: (event: never) => void) => {
      if (type === "error") fail = listener as typeof fail
    },
  })
  const waiting = all(connection.ask("catalogue", {}))
  fail(event)
  const failed = [{ type: "failed", message: `the engine's worker failed (${why}); load the page again`, bad: false }]
  expect(await waiting).toEqual(failed)
  expect(await all(connection.ask("catalogue", {}))).toEqual(failed)
})

const BAD_GATEWAY = ["text/html", "<h1>Bad gateway</h1>"] as const

test("events over HTTP are lines, whole whatever the pieces that they come in; a refusal is one too", async () => {
  const base = await server((from, to) => {
    if (from.url !== "/generate") {
      const refusal = from.url === "/find" ? (["application/json", '{"type":"failed","message":"no"}'] as const) : BAD_GATEWAY
      to.writeHead(502, { "content-type": refusal[0] }).end(refusal[1])
      return
    }
    to.writeHead(200, { "content-type": "application/x-ndjson" })
    const bytes = Buffer.from('{"type":"token","piece":"…"}\n{"type":"done"}\n')
    const send = (at: number): void => {
      to.write(bytes.subarray(at, at + 7))
      if (at + 7 < bytes.length) setTimeout(send, 2, at + 7)
      else to.end()
    }
    send(0)
  })
  const connection = httpConnection(base, undefined)
  expect(await all(connection.ask("generate", {} as never))).toEqual([{ type: "token", piece: "…" }, { type: "done" }])
  expect(await all(connection.ask("find", {} as never))).toEqual([{ type: "failed", message: "no" }])
  const [refused] = await all(connection.ask("vector", {} as never))
  expect(refused).toEqual({
    type: "failed",
    message: "expected an answer of redline serve, found status 502; see whether it still runs, then try again",
    bad: false,
  })
})

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")
const factsOf = (bytes: Uint8Array): SiteFile => ({ bytes: bytes.length, sha256: hash(bytes) })

/** A cache in memory. */
function memoryCache(): FileCache & { readonly kept: Map<string, Uint8Array<ArrayBuffer>> } {
  const kept = new Map<string, Uint8Array<ArrayBuffer>>()
  return {
    kept,
    async match(url) {
      const bytes = kept.get(url)
      return bytes && new Response(bytes)
    },
    async put(url, response) {
      kept.set(url, new Uint8Array(await response.arrayBuffer()))
    },
  }
}

test("a file's first bytes are there before its last have come, each file is fetched once, and kept for the next visit", async () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 251)
  const asked: string[] = []
  let finish = (): void => {}
  const base = await server((from, to) => {
    const name = new URL(from.url ?? "", "http://host").pathname.slice(1)
    asked.push(name)
    if (name === `w${HEADER}`) to.end(bytes.subarray(0, 100))
    else to.write(bytes.subarray(0, 600))
    finish = () => void to.end(bytes.subarray(600))
  })
  const files = { w: factsOf(bytes), [`w${HEADER}`]: factsOf(bytes.subarray(0, 100)) }
  const cache = memoryCache()
  const open = async () => {
    const source = await fetchedFolder("site", base.href, files, cache).open("w")
    if (!source) throw new Error("no file")
    return source
  }
  const source = await open()
  expect(source.byteLength).toBe(1000)
  expect(new Uint8Array(await source.slice(10, 100))).toEqual(bytes.subarray(10, 100))
  expect(asked).toEqual([`w${HEADER}`])
  expect(new Uint8Array(await source.slice(90, 600))).toEqual(bytes.subarray(90, 600))
  const last = source.slice(500, 1000)
  finish()
  expect(new Uint8Array(await last)).toEqual(bytes.subarray(500))
  expect(asked).toEqual([`w${HEADER}`, "w"])
  await expect.poll(() => cache.kept.size).toBe(2)
  const again = new Uint8Array(500)
  await (await open()).readInto?.(again, 500)
  expect(again).toEqual(bytes.subarray(500))
  expect(asked).toHaveLength(2)
})

test.each([
  ["is not there", 404, "", "found HTTP status 404"],
  ["is cut short", 200, "hell", "found 4 of its 5 bytes"],
  ["is longer", 200, "hello!", "found more than its 5 bytes"],
  ["is another one", 200, "hallo", "found other bytes than the page was built for"],
])("a file that %s is refused, not kept, and fetched again when it is asked for again", async (_name, status, text, message) => {
  let answer = { status, text }
  const base = await server((_from, to) => void to.writeHead(answer.status).end(answer.text))
  const cache = memoryCache()
  const folder = fetchedFolder("site", base.href, { "a.json": factsOf(Buffer.from("hello")) }, cache)
  await expect(folder.readText("a.json")).rejects.toThrow(message)
  expect(cache.kept.size).toBe(0)
  answer = { status: 200, text: "hello" }
  expect(await folder.readText("a.json")).toBe("hello")
  expect(await folder.readText("b.json")).toBeUndefined()
})

const catalogue: Catalogue = {
  version: "1",
  adapter: { name: "a", software: true },
  models: ["base", "chat"].map((name) => ({
    name,
    layers: 4,
    hiddenSize: 8,
    bytes: 1,
    chat: name === "chat",
    prompt: `${name} says`,
  })),
  vectors: [
    { name: "v", models: ["base"], layers: [1], topic: "v" },
    { name: "w", models: ["base", "chat"], layers: [1, 2], topic: undefined },
  ],
  limits: { characters: 20, prompts: 2, messages: 5, tokens: 30, coefficients: 9 },
}
const first = readChoices("", catalogue)

test("choices go into a link and come back", () => {
  expect(first).toMatchObject({ model: "base", vector: "v", prompt: "base says", chat: false, tokens: 30 })
  expect(writeChoices(first, catalogue)).toBe("#model=base&vector=v")
  const chosen: Choices = {
    model: "chat",
    vector: "",
    positive: "a & b",
    negative: "c#d",
    layers: [0, 3],
    prompts: ["one", "two"],
    coefficients: "0:2:0.5",
    searchTokens: 7,
    chat: false,
    prompt: "ä=",
    coefficient: 0.35,
    where: "last",
    tokens: 9,
    temperature: 0.5,
  }
  expect(readChoices(writeChoices(chosen, catalogue), catalogue)).toEqual(chosen)
})

test("what a link says wrongly is as at the beginning, or within its limits", () => {
  const wrong =
    "#model=none&vector=x&layers=1,9,x&search=1&search=2&search=3&tokens=99&temperature=-1&where=toString&coefficient=x&chat=yes"
  expect(readChoices(wrong, catalogue)).toEqual({ ...first, layers: [1], prompts: ["1", "2"], tokens: 30 })
  expect(readChoices("#model=chat&vector=v", catalogue)).toMatchObject({ model: "chat", vector: "w", chat: true })
  expect(readChoices(`#prompt=${"x".repeat(50)}`, catalogue).prompt).toHaveLength(20)
})

test.each([
  ["v", "", "", undefined],
  ["", "a", "", "Type both"],
  ["", "a", "a", "The two prompts are the same"],
  ["", "a", "b", undefined],
])("of the vector %j, «%s» and «%s» what is missing is said", (vector, positive, negative, message) => {
  const said = missing({ ...first, vector, positive, negative })
  if (message === undefined) expect(said).toBeUndefined()
  else expect(said).toContain(message)
})

test.each([
  [0, 1.8, 9, [0, 0.2, 0.4, 0.6, 0.8, 1, 1.2, 1.4, 1.6, 1.8]],
  [0, 0.58, 5, [0, 0.2, 0.4]],
  [-2, 37, 5, [0, 10, 20, 30]],
  [0, 3e-4, 3, [0, 1e-4, 2e-4, 3e-4]],
])("a scale from %d to %d has round ticks", (low, high, count, ticks) => {
  const scale = scaleOf(low, high, 100, 0, count)
  expect(scale.ticks).toEqual(ticks)
  expect([scale.at(low), scale.at(high)]).toEqual([100, 0])
})
