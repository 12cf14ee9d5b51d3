import { InputError, RedlineError } from "../engine/errors.ts"
import { reason } from "../engine/json.ts"
import type { CommonEvent } from "./protocol.ts"

type Failure = Extract<CommonEvent, { type: "failed" }>

/** What only says how things stand: where the reader is behind, the latest is enough. */
const STATES: ReadonlySet<string> = new Set(["queued", "loading", "training", "searching"])

/**
 * The events that `work` emits, in their order. The work begins when the first is asked for, and is told to stop when one of
 * `signals` aborts or the reader goes away; the events then end at once, whether it has stopped yet or not. What it throws is the
 * last event.
 * @param running Holds the work's promise while it runs.
 */
export async function* eventsOf<E extends { readonly type: string }>(
  work: (emit: (event: E) => void, signal: AbortSignal) => Promise<void>,
  signals: readonly AbortSignal[],
  running: Set<Promise<void>>,
): AsyncGenerator<E | Failure, void, undefined> {
  const stop = new AbortController()
  const waiting: (E | Failure)[] = []
  let wake = (): void => {}
  let over = false
  const emit = (event: E | Failure): void => {
    if (STATES.has(event.type) && waiting.at(-1)?.type === event.type) waiting.pop()
    waiting.push(event)
    wake()
  }
  const abort = (): void => {
    stop.abort()
    wake()
  }
  for (const signal of signals) signal.addEventListener("abort", abort)
  if (signals.some(({ aborted }) => aborted)) abort()
  const finish = async (): Promise<void> => {
    try {
      if (!stop.signal.aborted) await work(emit, stop.signal)
    } catch (error) {
      if (!stop.signal.aborted) emit(failureOf(error))
    }
    over = true
    wake()
  }
  const done = finish()
  running.add(done)
  void done.then(() => running.delete(done))
  try {
    while (!stop.signal.aborted) {
      const event = waiting.shift()
      if (event) yield event
      else if (over) return
      else await new Promise<void>((resolve) => (wake = resolve))
    }
  } finally {
    for (const signal of signals) signal.removeEventListener("abort", abort)
    stop.abort()
  }
}

/** An error as the last event of a request: bad input is the request's. */
function failureOf(error: unknown): Failure {
  const known = error instanceof RedlineError
  return { type: "failed", message: `${known ? "" : "internal error: "}${reason(error)}`, bad: error instanceof InputError }
}
