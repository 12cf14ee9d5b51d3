import { readFile } from "node:fs/promises"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { extname, join } from "node:path"
import type { RequestKind } from "../../src/web/protocol.ts"

/** What an engine answers: events for `send`, until it returns; `gone` is aborted when the page has hung up. */
export type Script = (request: Record<string, unknown>, send: (event: object) => void, gone: AbortSignal) => Promise<void> | void

export interface ScriptedEngine extends AsyncDisposable {
  readonly url: string
  /** Paths of the files that were asked for. */
  readonly fetched: string[]
  /** Every request so far, and whether its page hung up before the end. */
  readonly asked: {
    readonly kind: string
    readonly request: Record<string, unknown>
    readonly authorization: string
    gone: boolean
  }[]
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
}

/** Serves a folder at / and answers the demo's requests by scripts: a page without an engine. */
export async function scriptedEngine(
  folder: string,
  scripts: Partial<Record<RequestKind, Script>> = {},
): Promise<ScriptedEngine> {
  const asked: ScriptedEngine["asked"] = []
  const fetched: string[] = []
  const answer = async (
    kind: string,
    request: Record<string, unknown>,
    authorization: string,
    to: ServerResponse,
  ): Promise<void> => {
    const entry = { kind, request, authorization, gone: false }
    const gone = new AbortController()
    asked.push(entry)
    to.on("close", () => {
      if (to.writableFinished) return
      entry.gone = true
      gone.abort()
    })
    to.writeHead(200, { "content-type": "application/x-ndjson" })
    await scripts[kind as RequestKind]?.(request, (event) => void to.write(`${JSON.stringify(event)}\n`), gone.signal)
    to.end()
  }
  const server = createServer((from, to) => {
    const path = new URL(from.url ?? "/", "http://host").pathname
    if (from.method === "POST") {
      const pieces: Buffer[] = []
      from.on("data", (piece: Buffer) => pieces.push(piece))
      from.on("end", () => {
        const request = JSON.parse(Buffer.concat(pieces).toString()) as Record<string, unknown>
        void answer(path.replace("/api/", ""), request, from.headers.authorization ?? "", to)
      })
      return
    }
    const name = path.endsWith("/") ? `${path}index.html` : path
    fetched.push(path)
    readFile(join(folder, name)).then(
      (bytes) => to.writeHead(200, { "content-type": TYPES[extname(name)] ?? "application/octet-stream" }).end(bytes),
      () => to.writeHead(404).end(),
    )
  })
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    asked,
    fetched,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => void server.close(resolve))
    },
  }
}

/** Resolves after `ms`, or at once when the page has gone. */
export const pause = (ms: number, gone: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const wake = (): void => {
      gone.removeEventListener("abort", wake)
      resolve()
    }
    setTimeout(wake, ms)
    gone.addEventListener("abort", wake)
  })
