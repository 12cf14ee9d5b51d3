import type { JSX } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Catalogue, Connection } from "../protocol.ts"
import { Demo } from "./demo.tsx"
import { Status } from "./status.tsx"
import { useTask } from "./task.ts"

/** The page: what there is to choose from, and once that has come, the demo. */
export function App({ connection }: { connection: Connection }): JSX.Element {
  const task = useTask()
  const [catalogue, setCatalogue] = useState<Catalogue>()
  const open = (): void =>
    void task.run(
      (signal) => connection.ask("catalogue", {}, signal),
      (event) => setCatalogue(event),
    )
  useEffect(open, [])
  return (
    <>
      <header>
        <h1>Redline</h1>
        <p class="faint">How strongly can a language model be steered before it babbles?</p>
      </header>
      {catalogue && <Demo connection={connection} catalogue={catalogue} />}
      {!catalogue && <Status {...task} onStop={task.stop} />}
      {!catalogue && !task.activity && (
        <button type="button" onClick={open}>
          Try again
        </button>
      )}
      {catalogue && <Footer {...catalogue} />}
    </>
  )
}

function Footer({ version, adapter }: Catalogue): JSX.Element {
  return (
    <footer class="faint">
      redline {version} on {adapter.name}
      {adapter.software && ", which only stands in for a GPU: it is slow"}
    </footer>
  )
}
