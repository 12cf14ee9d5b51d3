import type { Connection, RequestKind, Requests } from "./protocol.ts"

const UNREACHABLE = "the server does not answer; see whether «redline serve» still runs, then try again"

/** An engine behind a server: every request is a POST to `base` + its kind, every line of the answer an event. */
export function httpConnection(base: URL, token: string | undefined): Connection {
  return {
    async *ask<K extends RequestKind>(kind: K, request: Requests[K]["request"], signal?: AbortSignal) {
      type Event = Requests[K]["event"]
      const failed = (message: string, bad: boolean): Event => ({ type: "failed", message, bad }) as unknown as Event
      try {
        const response = await fetch(new URL(kind, base), {
          method: "POST",
          headers: { "content-type": "application/json", ...(token !== undefined && { authorization: `Bearer ${token}` }) },
          body: JSON.stringify(request),
          ...(signal && { signal }),
        })
        // A refusal is an event too, unless it is from a proxy on the way.
        const isOurs = (response.headers.get("content-type") ?? "").includes("json")
        if (!isOurs || !response.body) yield failed(await complaint(response), response.status < 500)
        else for await (const line of linesOf(response.body)) yield JSON.parse(line) as Event
      } catch (error) {
        // What fetch throws says nothing that a visitor could use.
        if (!signal?.aborted)
          yield failed(error instanceof SyntaxError ? `the answer is no JSON: ${error.message}` : UNREACHABLE, false)
      }
    },
  }
}

async function complaint(response: Response): Promise<string> {
  const text = (await response.text()).replace(/\s+/g, " ").trim()
  const found = text === "" || text.startsWith("<") ? "" : ` and «${text.slice(0, 200)}»`
  return `expected an answer of redline serve, found status ${response.status}${found}; see whether it still runs, then try again`
}

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder()
  const reader = body.getReader()
  let rest = ""
  try {
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      const lines = (rest + decoder.decode(piece.value, { stream: true })).split("\n")
      rest = lines.pop() as string
      yield* lines.filter((line) => line !== "")
    }
    if (rest !== "") yield rest
  } finally {
    await reader.cancel()
  }
}
