import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import type { EndpointKind } from "../../src/node/grader-endpoint.ts"

/** What a server does with one request: an answer's text, or something else. */
export type Reaction = string | ((response: ServerResponse) => void)

/** A request as it came. */
export interface Asked {
  readonly path: string
  readonly key: string
  /** The question. */
  readonly text: string
  readonly body: Readonly<Record<string, unknown>>
  /** When it came, in ms. */
  readonly at: number
}

/** A local server that speaks a grader's protocol. Dispose it. */
export interface GraderServer extends AsyncDisposable {
  readonly url: string
  readonly asked: readonly Asked[]
  /** The most requests that were open at once. */
  readonly together: number
}

/** Starts a server that reacts to the n-th request, from 0, as `react` says. */
export async function graderServer(
  kind: EndpointKind,
  react: (asked: Asked, n: number) => Reaction | Promise<Reaction>,
): Promise<GraderServer> {
  const asked: Asked[] = []
  let [open, together] = [0, 0]
  const server = createServer((request, response) => {
    together = Math.max(together, ++open)
    response.on("close", () => open--)
    void (async () => {
      const one = await read(request)
      asked.push(one)
      const reaction = await react(one, asked.length - 1)
      if (typeof reaction === "string") json(200, answerOf(kind, reaction))(response)
      else reaction(response)
    })()
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}${kind === "openai" ? "/v1" : ""}`,
    asked,
    get together() {
      return together
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** An answer as JSON. */
export const json =
  (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) =>
  (response: ServerResponse): void =>
    void response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))

/** An error as both services give it; `headers` may ask to wait. */
export const failure = (
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): ((response: ServerResponse) => void) => json(status, { type: "error", error: { type: "failure", message } }, headers)

/** A connection that is cut, after the headers and half of a body where `midway`. */
export const cutOff =
  (midway: boolean) =>
  (response: ServerResponse): void => {
    if (!midway) return void response.destroy()
    response.writeHead(200, { "content-type": "application/json", "content-length": "1000" })
    response.write('{"id": "half of an ans', () => response.destroy())
  }

async function read(request: IncomingMessage): Promise<Asked> {
  const at = Date.now()
  let source = ""
  for await (const piece of request) source += String(piece)
  const body = JSON.parse(source) as { messages: { content: string }[] }
  const key = request.headers.authorization?.replace("Bearer ", "") ?? String(request.headers["x-api-key"])
  return { path: request.url ?? "", key, text: body.messages[0]?.content ?? "", body: { ...body }, at }
}

const answerOf = (kind: EndpointKind, text: string): unknown =>
  kind === "anthropic"
    ? {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "judge",
        content: [{ type: "text", text }],
        stop_reason: "end_turn",
        usage: { input_tokens: 1, output_tokens: 1 },
      }
    : {
        id: "c1",
        object: "chat.completion",
        choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: text } }],
      }
