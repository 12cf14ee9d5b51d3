import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { request as httpRequest } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { PageFile } from "../../src/node/serve-page.ts"
import { readPage } from "../../src/node/serve-page.ts"
import type { Connection, RequestKind, Requests } from "../../src/web/protocol.ts"

/** A page of one word: what the server does with it is the same for all pages. */
export async function smallPage(): Promise<ReadonlyMap<string, PageFile>> {
  const folder = mkdtempSync(join(tmpdir(), "redline-page-"))
  writeFileSync(join(folder, "index.html"), "<!doctype html>page")
  writeFileSync(join(folder, "page.js"), "void 0")
  writeFileSync(join(folder, "secret.txt"), "not for visitors")
  const page = await readPage(folder)
  rmSync(folder, { recursive: true })
  return page
}

/** An event, and when it came. ms */
export type Arrived<K extends RequestKind> = Requests[K]["event"] & { readonly at: number }

/** The events of a request to a server, as they arrive. */
export async function* ask<K extends RequestKind>(
  base: string,
  kind: K,
  request: Requests[K]["request"],
  signal?: AbortSignal,
): AsyncGenerator<Arrived<K>, void, undefined> {
  const body = JSON.stringify(request)
  const response = await fetch(`${base}/api/${kind}`, { method: "POST", body, ...(signal && { signal }) })
  const decoder = new TextDecoder()
  let rest = ""
  for await (const piece of response.body as AsyncIterable<Uint8Array>) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split("\n")
    rest = lines.pop() as string
    for (const line of lines) yield { ...(JSON.parse(line) as Requests[K]["event"]), at: performance.now() }
  }
}

/** All events of a request to a server. */
export async function askAll<K extends RequestKind>(
  base: string,
  kind: K,
  request: Requests[K]["request"],
): Promise<Arrived<K>[]> {
  const events: Arrived<K>[] = []
  for await (const event of ask(base, kind, request)) events.push(event)
  return events
}

/** The events of a type among others. */
export function ofType<E extends { readonly type: string }, T extends E["type"]>(
  events: readonly E[],
  type: T,
): Extract<E, { readonly type: T }>[] {
  return events.filter((event): event is Extract<E, { readonly type: T }> => event.type === type)
}

/** The same connection, which notes when each token was made. ms */
export function timed(engine: Connection, made: number[]): Connection {
  return {
    async *ask(kind, request, signal) {
      for await (const event of engine.ask(kind, request, signal)) {
        if ((event as { type: string }).type === "token") made.push(performance.now())
        yield event
      }
    },
  }
}

/** A plain request with headers of any kind, which fetch does not send. */
export function send(
  port: number,
  path: string,
  { method = "POST", headers = {}, body = "{}" }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number; text: string; headers: NodeJS.Dict<string | string[]> }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port, path, method, headers }, (response) => {
      let text = ""
      response.on("data", (piece: Buffer) => (text += piece.toString()))
      response.on("error", reject) // cut off before its end
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }))
    })
    request.on("error", reject)
    request.end(method === "GET" ? undefined : body)
  })
}
