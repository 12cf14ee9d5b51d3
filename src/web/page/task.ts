import { useEffect, useMemo, useRef, useState } from "preact/hooks"
import type { CommonEvent } from "../protocol.ts"

/** What is happening, in words, and how far it is where that is known, from 0 to 1. */
export interface Activity {
  readonly doing: string
  /** Numbers that change too often to be read aloud. */
  readonly detail: string
  readonly part: number | undefined
}

export interface TaskState {
  readonly activity: Activity | undefined
  /** Why the last request failed: one line that says what to do. */
  readonly problem: string | undefined
}

export interface Task extends TaskState {
  /**
   * Stops what runs, and hands each event to `onEvent` until the request ends. What is common to all is shown by the task.
   * Resolves to why it failed; to undefined where it did not, or was stopped.
   */
  readonly run: <E extends { readonly type: string }>(
    ask: (signal: AbortSignal) => AsyncIterable<E>,
    onEvent: (event: Exclude<E, CommonEvent>) => void,
  ) => Promise<string | undefined>
  /** Whether a request runs, between renderings too. */
  readonly busy: () => boolean
  readonly stop: () => void
  /** Says why nothing is asked. */
  readonly fail: (problem: string) => void
  readonly show: (doing: string, detail: string, part?: number) => void
}

const IDLE: TaskState = { activity: undefined, problem: undefined }

/** One request at a time, with what a visitor is told of it. It stops when its part of the page goes. */
export function useTask(): Task {
  const [state, setState] = useState<TaskState>(IDLE)
  const running = useRef<AbortController | undefined>(undefined)
  const actions = useMemo(() => {
    const show: Task["show"] = (doing, detail, part) => setState({ activity: { doing, detail, part }, problem: undefined })
    const stop = (): void => {
      running.current?.abort()
      running.current = undefined
      setState(IDLE)
    }
    const fail: Task["fail"] = (problem) => {
      stop()
      setState({ activity: undefined, problem })
    }
    const run: Task["run"] = async (ask, onEvent) => {
      running.current?.abort()
      const own = new AbortController()
      running.current = own
      show("Asking the engine", "")
      let problem: string | undefined
      for await (const event of ask(own.signal)) {
        if (own.signal.aborted) return undefined
        const common = event as unknown as CommonEvent
        if (common.type === "failed") problem = common.message
        else if (!tell(common, show)) onEvent(event as Exclude<typeof event, CommonEvent>)
      }
      if (running.current !== own) return undefined
      running.current = undefined
      setState({ activity: undefined, problem })
      return problem
    }
    return { run, busy: () => running.current !== undefined, stop, fail, show }
  }, [])
  useEffect(() => () => running.current?.abort(), [])
  return { ...state, ...actions }
}

/** Shows an event that is common to all requests; false for another. */
function tell(event: CommonEvent, show: Task["show"]): boolean {
  switch (event.type) {
    case "queued":
      show("Waiting for the engine", `${event.ahead} ahead`)
      return true
    case "loading":
      show(
        `Loading ${event.model}`,
        `${megabytes(event.bytes)} of ${megabytes(event.totalBytes)} MB`,
        event.bytes / event.totalBytes,
      )
      return true
    case "training":
      show("Training the vector", `${event.done} of ${event.total} texts`, event.done / event.total)
      return true
    case "failed":
      return true
    default:
      event satisfies never
      return false
  }
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)
