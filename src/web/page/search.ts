import { useState } from "preact/hooks"
import { reason } from "../../engine/json.ts"
import { parseCoefficients } from "../../steering/coefficients.ts"
import type { Connection, FindRequest, Found, Point } from "../protocol.ts"
import { type Choices, missing, steeringOf } from "./choices.ts"
import { type Task, useTask } from "./task.ts"

/** What a search has brought so far. */
export interface SearchResult {
  /** The request, to see whether it still is about what is chosen. */
  readonly request: FindRequest
  readonly metric: string
  /** In ascending order of the coefficient. */
  readonly points: readonly Point[]
  readonly found: Found | undefined
}

export interface Search {
  readonly task: Task
  readonly result: SearchResult | undefined
  readonly start: (choices: Choices, onFound: (found: Found) => void) => void
  readonly clear: () => void
}

/** @throws Error for what is missing, or cannot be read. */
function findRequest(choices: Choices): FindRequest {
  const lacking = missing(choices)
  if (lacking !== undefined) throw new Error(lacking)
  const coefficients = parseCoefficients(choices.coefficients)
  return {
    ...steeringOf(choices),
    prompts: choices.prompts,
    chat: choices.chat,
    tokens: choices.searchTokens,
    ...(coefficients !== "auto" && { coefficients }),
  }
}

export function useSearch(connection: Connection): Search {
  const task = useTask()
  const [result, setResult] = useState<SearchResult>()
  const start = (choices: Choices, onFound: (found: Found) => void): void => {
    let request: FindRequest
    try {
      request = findRequest(choices)
    } catch (error) {
      return task.fail(reason(error))
    }
    let now: SearchResult = { request, metric: "", points: [], found: undefined }
    const update = (news: Partial<SearchResult>): void => setResult((now = { ...now, ...news }))
    update({})
    void task.run(
      (signal) => connection.ask("find", request, signal),
      (event) => {
        if (event.type === "searching") {
          const { done, total, batch } = event
          task.show("Searching", `${done} of ${total} coefficients`, total > 0 ? (done + batch * (total - done)) / total : 0)
        } else if (event.type === "settings") {
          update({ metric: event.metric })
        } else if (event.type === "point") {
          update({ points: [...now.points, event].sort((a, b) => a.coefficient - b.coefficient) })
        } else {
          update({ found: event })
          onFound(event)
        }
      },
    )
  }
  const clear = (): void => {
    task.stop()
    setResult(undefined)
  }
  return { task, result, start, clear }
}
