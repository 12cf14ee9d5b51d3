import { reason } from "../engine/json.ts"
import type { Connection, Requests, RequestKind } from "./protocol.ts"
import type { FromWorker, ToWorker } from "./worker-connection.ts"

/** The page's side of a worker, as far as the service needs it. */
export interface PagePort {
  postMessage(message: FromWorker): void
  addEventListener(type: "message", listener: (event: { readonly data: ToWorker }) => void): void
}

/**
 * Answers a page's messages by an engine, which is opened at the first request. Where that fails the request is told why, and
 * the next one tries again.
 * @param open Is to call `onLost` when the engine can be used no more: the next request opens another.
 */
export function answerMessages(port: PagePort, open: (onLost: () => void) => Promise<Connection>): void {
  const running = new Map<number, AbortController>()
  let opened: Promise<Connection> | undefined
  const forget = (): void => {
    opened = undefined
  }
  const engine = (): Promise<Connection> => {
    const opening = (opened ??= open(forget))
    opening.catch(forget)
    return opening
  }
  const answer = async (id: number, kind: RequestKind, request: Requests[RequestKind]["request"]): Promise<void> => {
    const own = new AbortController()
    running.set(id, own)
    try {
      const connection = await engine()
      for await (const event of connection.ask(kind, request, own.signal)) port.postMessage({ id, event })
    } catch (error) {
      port.postMessage({ id, event: { type: "failed", message: reason(error), bad: false } })
    } finally {
      running.delete(id)
      port.postMessage({ id, end: true })
    }
  }
  port.addEventListener("message", ({ data }) => {
    if ("abort" in data) running.get(data.id)?.abort()
    else void answer(data.id, data.kind, data.request)
  })
}
