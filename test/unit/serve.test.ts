import { createServer, request as httpRequest, type IncomingMessage } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { serve, type Server } from "../../src/node/serve.ts"
import type { Connection } from "../../src/web/protocol.ts"
import { send, smallPage } from "../helpers/serve.ts"

/** Says what it was asked, waits until it is told, or talks without end. */
class FakeEngine {
  readonly asked: unknown[] = []
  open = 0
  made = 0
  readonly connection: Connection = {
    ask: (kind, request, signal) => this.#events(kind, request, signal) as never,
  }

  async *#events(kind: string, request: unknown, signal: AbortSignal | undefined): AsyncGenerator<unknown, void, undefined> {
    this.asked.push({ kind, request })
    this.open++
    try {
      if (kind === "catalogue") yield { type: "catalogue" }
      if (kind === "vector") yield { type: "failed", message: "it is broken", bad: false }
      if (kind === "find") {
        yield { type: "queued", ahead: 1 }
        await new Promise((resolve) => signal?.addEventListener("abort", resolve))
      }
      if (kind !== "generate") return
      for (; ; this.made++) yield { type: "token", side: "steered", piece: "x".repeat(1000) }
    } finally {
      this.open--
    }
  }
}

const engine = new FakeEngine()
let server: Server
let guarded: Server

beforeAll(async () => {
  const options = { engine: engine.connection, page: await smallPage(), host: "127.0.0.1", port: 0 }
  server = await serve(options)
  guarded = await serve({ ...options, token: "secret" })
})

afterAll(async () => {
  await server.close()
  await guarded.close()
})

const until = async (happened: () => boolean): Promise<void> => {
  while (!happened()) await new Promise((resolve) => setTimeout(resolve, 2))
}

/** A request whose answer is not read yet. */
function begin(kind: string): Promise<{ response: IncomingMessage; leave: () => void }> {
  return new Promise((resolve) => {
    const request = httpRequest({ host: "127.0.0.1", port: server.port, path: `/api/${kind}`, method: "POST" }, (response) =>
      resolve({ response, leave: () => request.destroy() }),
    )
    request.on("error", () => {}) // it is cut on purpose
    request.end("{}")
  })
}

describe("the page", () => {
  test.each([
    ["/", "text/html; charset=utf-8", "<!doctype html>page"],
    ["/?token=secret", "text/html; charset=utf-8", "<!doctype html>page"],
    ["/page.js", "text/javascript; charset=utf-8", "void 0"],
  ])("%s is served without a token, and fresh", async (path, type, body) => {
    const { status, text, headers } = await send(guarded.port, path, { method: "GET" })
    expect({ status, text }).toEqual({ status: 200, text: body })
    expect(headers).toMatchObject({
      "content-type": type,
      "cache-control": "no-cache",
      "content-security-policy": expect.stringContaining("default-src 'none'; script-src 'self'"),
      "x-content-type-options": "nosniff",
    })
    const again = await send(server.port, path, { method: "GET", headers: { "if-none-match": String(headers["etag"]) } })
    expect({ status: again.status, text: again.text }).toEqual({ status: 304, text: "" })
  })

  test.each([
    "/secret.txt",
    "/../package.json",
    "/%2e%2e/package.json",
    "/..%2fpackage.json",
    "//etc/passwd",
    "/__proto__",
    "/api",
  ])("%s is nothing", async (path) => {
    const { status, text } = await send(server.port, path, { method: "GET" })
    expect({ status, text }).toEqual({ status: 404, text: expect.stringContaining("expected the page or POST api/KIND") })
  })
})

const own = (port: number) => ({ host: `127.0.0.1:${port}` })

describe("a request to the engine", () => {
  test("is answered by lines of JSON that nobody keeps", async () => {
    engine.asked.length = 0
    const { status, text, headers } = await send(server.port, "/api/catalogue", { body: '{"a":1}' })
    expect({ status, text }).toEqual({ status: 200, text: '{"type":"catalogue"}\n' })
    expect(headers).toMatchObject({ "content-type": "application/x-ndjson", "cache-control": "no-store" })
    expect(engine.asked).toEqual([{ kind: "catalogue", request: { a: 1 } }])
  })

  const big = "x".repeat(2 ** 20 + 1)
  test.each<[what: string, path: string, headers: Record<string, string>, body: string, status: number, message: string]>([
    [
      "an unknown kind",
      "/api/delete",
      {},
      "{}",
      404,
      'request: expected one of catalogue, find, generate, vector, found \\"delete\\"',
    ],
    ["a kind of every object", "/api/constructor", {}, "{}", 404, "request: expected one of catalogue"],
    ["no JSON", "/api/find", {}, "find", 400, "request: expected JSON, found broken JSON"],
    ["nothing", "/api/find", {}, "", 400, "request: expected JSON, found an empty text"],
    ["too much", "/api/find", {}, big, 413, "request: expected at most 1048576 bytes, found more"],
    ["too much in pieces", "/api/find", { "transfer-encoding": "chunked" }, big, 413, "request: expected at most 1048576 bytes"],
    [
      "another host's name",
      "/api/catalogue",
      { host: "evil.example" },
      "{}",
      403,
      "Host: expected localhost, found «evil.example»",
    ],
    [
      "another origin",
      "/api/catalogue",
      { origin: "https://evil.example" },
      "{}",
      403,
      "Origin: expected this server's own page",
    ],
    ["a broken engine", "/api/vector", {}, "{}", 500, "it is broken"],
  ])("with %s is refused", async (_what, path, headers, body, status, message) => {
    const answer = await send(server.port, path, { headers: { ...own(server.port), ...headers }, body })
    expect({ status: answer.status, text: answer.text }).toEqual({ status, text: expect.stringContaining(message) })
    expect(JSON.parse(answer.text)).toMatchObject({ type: "failed", bad: status < 500 })
  })

  test("in small pieces is taken", async () => {
    const { status } = await send(server.port, "/api/catalogue", { headers: { "transfer-encoding": "chunked" } })
    expect(status).toBe(200)
  })

  test("needs the token where there is one", async () => {
    const ask = async (authorization?: string): Promise<number> =>
      (await send(guarded.port, "/api/catalogue", { headers: { ...(authorization !== undefined && { authorization }) } })).status
    expect([await ask(), await ask("Bearer wrong"), await ask("Bearer secret")]).toEqual([401, 401, 200])
  })
})

describe("many readers", () => {
  test("beyond 100 are asked to come again, and make room when they go", async () => {
    const readers = await Promise.all(Array.from({ length: 100 }, () => begin("find")))
    const refused = await send(server.port, "/api/catalogue")
    expect(refused).toMatchObject({ status: 503, headers: { "retry-after": "60" } })
    expect(JSON.parse(refused.text)).toMatchObject({ type: "failed", bad: false, message: expect.stringContaining("is busy") })
    expect(engine.open).toBe(100)
    readers[0]?.leave()
    await until(() => engine.open === 99)
    expect((await send(server.port, "/api/catalogue")).status).toBe(200)
    for (const { leave } of readers) leave()
    await until(() => engine.open === 0)
  })

  test("that do not read do not fill the memory, and stop the work when they leave", async () => {
    const { response, leave } = await begin("generate")
    response.pause()
    let before = -1
    while (engine.made !== before) {
      before = engine.made
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    // What the system's own buffers take, a few MB at most; the engine would have gone on for ever.
    expect(engine.made).toBeGreaterThan(0)
    expect(engine.made).toBeLessThan(20_000)
    leave()
    await until(() => engine.open === 0)
  })

  test("are let go when the server closes", async () => {
    const short = await serve({ engine: engine.connection, page: await smallPage(), host: "127.0.0.1", port: 0 })
    const reading = send(short.port, "/api/find").catch((error: Error) => error)
    await until(() => engine.open === 1)
    await short.close()
    await until(() => engine.open === 0)
    await reading
    await expect(send(short.port, "/", { method: "GET" })).rejects.toThrow("ECONNREFUSED")
  })
})

test("a port in use, and an address of another machine, are bad input", async () => {
  const options = { engine: engine.connection, page: await smallPage() }
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve))
  const { port } = taken.address() as AddressInfo
  const used = serve({ ...options, host: "127.0.0.1", port })
  await expect(used).rejects.toThrow(`--port: expected a free port, found ${port}, which is in use; choose another one`)
  await expect(used).rejects.toThrow(InputError)
  taken.close()
  await expect(serve({ ...options, host: "203.0.113.9", port: 0 })).rejects.toThrow("--host: expected an address of this machine")
})
