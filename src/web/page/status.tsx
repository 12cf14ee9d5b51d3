import type { JSX } from "preact"
import type { TaskState } from "./task.ts"

export interface StatusProps extends TaskState {
  readonly onStop: () => void
}

/** What is happening, with a way to stop it; or what went wrong, and what to do. */
export function Status({ activity, problem, onStop }: StatusProps): JSX.Element {
  return (
    <div class={activity || problem !== undefined ? "status" : "status idle"}>
      <span role="status">{activity?.doing}</span>
      {activity && (
        <>
          <span class="faint">{activity.detail}</span>
          <progress value={activity.part} aria-label={activity.doing} />
          <button type="button" onClick={onStop}>
            Stop
          </button>
        </>
      )}
      <div role="alert">{problem !== undefined && <p class="problem">{problem}</p>}</div>
    </div>
  )
}
