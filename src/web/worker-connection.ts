import type { CommonEvent, Connection, RequestKind, Requests } from "./protocol.ts"

/** What goes to the worker: a request, or that the one of this number is to stop. */
export type ToWorker =
  | { readonly id: number; readonly kind: RequestKind; readonly request: Requests[RequestKind]["request"] }
  | { readonly id: number; readonly abort: true }

/** What comes back: an event of the request of this number, or that it has ended. */
export type FromWorker =
  | { readonly id: number; readonly event: Requests[RequestKind]["event"] }
  | { readonly id: number; readonly end: true }

/** A worker, as far as a connection needs it. */
export interface WorkerPort {
  postMessage(message: ToWorker): void
  addEventListener(type: "message", listener: (event: { readonly data: FromWorker }) => void): void
  addEventListener(type: "error", listener: (event: { readonly message?: string }) => void): void
}

/** An engine in a worker: requests and events are messages with a number. */
export function workerConnection(port: WorkerPort): Connection {
  const listeners = new Map<number, (message: FromWorker) => void>()
  let next = 0
  let failure: (CommonEvent & { readonly type: "failed" }) | undefined
  port.addEventListener("message", ({ data }) => listeners.get(data.id)?.(data))
  port.addEventListener("error", ({ message }) => {
    const why = message || "it did not load" // which a plain event tells
    const text = `the engine's worker failed (${why}); load the page again`
    const event = { type: "failed", message: text, bad: false } as const
    failure = event
    for (const [id, listener] of listeners) {
      listener({ id, event })
      listener({ id, end: true })
    }
  })
  return {
    async *ask<K extends RequestKind>(kind: K, request: Requests[K]["request"], signal?: AbortSignal) {
      if (failure) {
        yield failure as Requests[K]["event"]
        return
      }
      const id = next++
      const waiting: FromWorker[] = []
      let wake = (): void => {}
      const abort = (): void => {
        port.postMessage({ id, abort: true })
        waiting.push({ id, end: true })
        wake()
      }
      listeners.set(id, (message) => {
        waiting.push(message)
        wake()
      })
      try {
        if (signal?.aborted) return
        signal?.addEventListener("abort", abort)
        port.postMessage({ id, kind, request })
        for (;;) {
          const message = waiting.shift()
          if (message === undefined) await new Promise<void>((resolve) => (wake = resolve))
          else if ("end" in message) return
          else yield message.event as Requests[K]["event"]
        }
      } finally {
        listeners.delete(id)
        signal?.removeEventListener("abort", abort)
      }
    },
  }
}
