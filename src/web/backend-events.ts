import { InputError, RedlineError } from "../engine/errors.ts"
import { reason } from "../engine/json.ts"
import { ModelError } from "./backend-models.ts"
import type { CommonEvent } from "./protocol.ts"

type Failure = Extract<CommonEvent, { type: "failed" }>

/** What only says how things stand: where the reader is behind, the latest is enough. */
const STATES: ReadonlySet<string> = new Set(["queued", "loading", "training", "searching"])

/** Work whose events somebody reads. */
export interface Running {
  /** Ends the events and tells the work. */
  readonly stop: () => void
  readonly done: Promise<void>
}

/**
 * The events that `work` emits, in their order. The work begins when the first is asked for, and is told to stop when `outer`
 * aborts or the reader goes away; the events then end at once, whether it has stopped yet or not. What it throws is the last event.
 * @param running Holds the work while it runs.
 */
export async function* eventsOf<E extends { readonly type: string }>(
  work: (emit: (event: E) => void, signal: AbortSignal) => Promise<void>,
  outer: AbortSignal | undefined,
  running: Set<Running>,
): AsyncGenerator<E | Failure, void, undefined> {
  const control = new AbortController()
  const waiting: (E | Failure)[] = []
  let wake = (): void => {}
  let over = false
  const emit = (event: E | Failure): void => {
    if (STATES.has(event.type) && waiting.at(-1)?.type === event.type) waiting.pop()
    waiting.push(event)
    wake()
  }
  const stop = (): void => {
    control.abort()
    wake()
  }
  const finish = async (): Promise<void> => {
    try {
      await work(emit, control.signal)
    } catch (error) {
      if (!control.signal.aborted) emit(failureOf(error))
    }
    over = true
    running.delete(own)
    wake()
  }
  if (outer?.aborted) return
  outer?.addEventListener("abort", stop)
  const own: Running = { stop, done: Promise.resolve().then(finish) }
  running.add(own)
  try {
    while (!control.signal.aborted) {
      const event = waiting.shift()
      if (event) yield event
      else if (over) return
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    outer?.removeEventListener("abort", stop)
    control.abort()
  }
}

/** An error as the last event of a request: bad input is the request's. */
function failureOf(error: unknown): Failure {
  const bad = error instanceof InputError && !(error instanceof ModelError)
  return { type: "failed", message: `${error instanceof RedlineError ? "" : "internal error: "}${reason(error)}`, bad }
}
