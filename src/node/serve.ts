import type { AddressInfo } from "node:net"
import { createAdaptorServer, type HttpBindings, type ServerType } from "@hono/node-server"
import { type Context, Hono } from "hono"
import { decodeText } from "../engine/bytes.ts"
import { InputError, RedlineError } from "../engine/errors.ts"
import { parseJson, reason, show } from "../engine/json.ts"
import type { Connection, RequestKind, Requests } from "../web/protocol.ts"
import { guardOrigin, guardToken, refuse } from "./serve-guard.ts"
import type { PageFile } from "./serve-page.ts"

export interface ServeOptions {
  /** Answers the requests. */
  readonly engine: Connection
  readonly page: ReadonlyMap<string, PageFile>
  /** The address to listen on. */
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  /** What every request to the engine has to bring; without it none. */
  readonly token?: string | undefined
}

/** A server that listens. Closing it ends every request. */
export interface Server {
  readonly port: number
  close(): Promise<void>
}

/** Bytes of a request's body at most: two conversations as long as they may be take some 600 kB in any script. */
const MOST_BYTES = 2 ** 20
/** Requests that are answered or wait at a time. */
const MOST_OPEN = 100
/** A reader that takes nothing for so long is gone. ms */
const STALLED = 60_000

const KINDS: readonly RequestKind[] = ["catalogue", "find", "generate", "vector"]

const HEADERS: Readonly<Record<string, string>> = {
  "Content-Security-Policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
}

type Env = { Bindings: HttpBindings }

/**
 * Serves the demo's page and the engine behind it.
 * @throws InputError for a host or port that it cannot listen on.
 */
export async function serve({ engine, page, host, port, token }: ServeOptions): Promise<Server> {
  const asking = new Set<AbortController>()
  const app = new Hono<Env>()
  app.use(async (context, next) => {
    await next()
    for (const [name, value] of Object.entries(HEADERS)) context.res.headers.set(name, value)
  })
  app.use(guardOrigin({ host }))
  app.use("/api/*", noStore, guardToken({ token }))
  app.post("/api/:kind", (context) => answer(context, engine, asking))
  app.get("*", (context) => staticFile(context, page.get(context.req.path)))
  app.notFound((context) => refuse(context, 404, `${show(context.req.path)}: expected the page or POST api/KIND`))
  app.onError((error, context) => {
    if (error instanceof InputError) return refuse(context, 400, error.message)
    return refuse(context, 500, `internal error: ${reason(error)}`)
  })
  const server = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false })
  await listen(server, host, port)
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const stop of asking) stop.abort()
      if ("closeAllConnections" in server) server.closeAllConnections()
      await closed
    },
  }
}

const noStore = async (context: Context, next: () => Promise<void>): Promise<void> => {
  await next()
  context.res.headers.set("Cache-Control", "no-store")
}

/** Answers a request to the engine with a line of JSON for each event, as it comes. A reader that goes away stops the work. */
async function answer(context: Context<Env>, engine: Connection, asking: Set<AbortController>): Promise<Response> {
  const name = context.req.param("kind")
  const kind = KINDS.find((known) => known === name)
  if (!kind) return refuse(context, 404, `request: expected one of ${KINDS.join(", ")}, found ${show(name)}`)
  const text = await bodyOf(context.req.raw)
  if (text === undefined)
    return refuse(context, 413, `request: expected at most ${MOST_BYTES} bytes, found more; send less at a time`)
  const request = parseJson(text, "request") as Requests[typeof kind]["request"]
  if (asking.size >= MOST_OPEN) {
    context.header("Retry-After", "60")
    return refuse(context, 503, `the server is busy: ${MOST_OPEN} requests wait already; try again in a minute`)
  }
  const { outgoing } = context.env
  const stop = new AbortController()
  const events = engine.ask(kind, request, stop.signal)[Symbol.asyncIterator]()
  asking.add(stop)
  outgoing.once("close", () => {
    asking.delete(stop)
    stop.abort()
    void events.return?.()
  })
  if (outgoing.destroyed) outgoing.emit("close")
  const first = await events.next()
  const status = first.done === true || first.value.type !== "failed" ? 200 : first.value.bad ? 400 : 500
  const body = lines(first, events, () => {
    stop.abort()
    outgoing.destroy()
  })
  return new Response(body, { status, headers: { "Content-Type": "application/x-ndjson" } })
}

/** The body's text; undefined where there is more than a request may hold, the rest of which stays unread. @throws InputError */
async function bodyOf({ body }: Request): Promise<string | undefined> {
  const pieces: Uint8Array[] = []
  const reader = body?.getReader()
  for (let size = 0; ;) {
    const { done = true, value } = (await reader?.read()) ?? {}
    if (done || !value) return decodeText(Buffer.concat(pieces), "request")
    size += value.length
    if (size > MOST_BYTES) return undefined
    pieces.push(value)
  }
}

/**
 * Events as lines, one for each time that the reader has taken the one before: what it does not take waits in the engine, which
 * keeps no more than a run's size.
 */
function lines<E>(first: IteratorResult<E>, events: AsyncIterator<E>, giveUp: () => void): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let next: Promise<IteratorResult<E>> | undefined = Promise.resolve(first)
  let stalled: NodeJS.Timeout | undefined
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(stalled)
        const { done, value } = await (next ?? events.next())
        next = undefined
        if (done) return controller.close()
        controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`))
        stalled = setTimeout(giveUp, STALLED)
      },
      cancel() {
        clearTimeout(stalled)
        giveUp()
      },
    },
    { highWaterMark: 0 },
  )
}

function staticFile(context: Context<Env>, file: PageFile | undefined): Response | Promise<Response> {
  if (!file) return context.notFound()
  // A new version has the same names.
  context.header("Cache-Control", "no-cache")
  context.header("ETag", file.etag)
  if (context.req.header("if-none-match") === file.etag) return context.body(null, 304)
  return context.body(file.bytes, 200, { "Content-Type": file.type })
}

function listen(server: ServerType, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)))
    server.listen(port, host, resolve)
  })
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): RedlineError {
  const faults: Readonly<Record<string, InputError["fault"]>> = {
    EADDRINUSE: { where: "--port", expected: "a free port", found: `${port}, which is in use`, todo: "choose another one" },
    EACCES: { where: "--port", expected: "a port that this user may take", found: `${port}`, todo: "choose one above 1023" },
    EADDRNOTAVAIL: { where: "--host", expected: "an address of this machine", found: host },
    ENOTFOUND: { where: "--host", expected: "an address of this machine", found: host },
  }
  const fault = faults[error.code ?? ""]
  return fault ? new InputError(fault, { cause: error }) : new RedlineError(`cannot listen: ${reason(error)}`, { cause: error })
}
