import { strToU8, zipSync } from "fflate"
import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { Catalogue, Connection, Found } from "../protocol.ts"
import { type Choices, missing, steeringOf, writeChoices } from "./choices.ts"
import { Status } from "./status.tsx"
import { useTask } from "./task.ts"

export interface DownloadsProps {
  readonly connection: Connection
  readonly catalogue: Catalogue
  readonly choices: Choices
  readonly found: Found | undefined
}

/** What can be taken away: the vector, the run, a link. */
export function Downloads({ connection, catalogue, choices, found }: DownloadsProps): JSX.Element {
  const task = useTask()
  const vector = (format: "safetensors" | "gguf"): void => {
    const lacking = missing(choices)
    if (lacking !== undefined) return task.fail(lacking)
    void task.run(
      (signal) => connection.ask("vector", { ...steeringOf(choices), format }, signal),
      ({ file, base64 }) =>
        save(
          file,
          Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)),
        ),
    )
  }
  return (
    <section aria-labelledby="keep">
      <h2 id="keep">Keep</h2>
      <div class="actions">
        {(["safetensors", "gguf"] as const).map((format) => (
          <button key={format} type="button" onClick={() => vector(format)}>
            Vector (.{format})
          </button>
        ))}
        <button type="button" disabled={!found} onClick={() => found && save("run.zip", zipped(found))}>
          Run (.zip)
        </button>
        <CopyLink hash={writeChoices(choices, catalogue)} />
        <Status {...task} onStop={task.stop} />
      </div>
      <p class="faint">
        The vector is for repeng, llama.cpp (gguf) and redline; the run is what <code>redline report</code> and{" "}
        <code>redline grade</code> read. The link holds everything that is chosen here.
      </p>
    </section>
  )
}

/** The address bar tells the choices a little later. */
function CopyLink({ hash }: { hash: string }): JSX.Element {
  const [said, setSaid] = useState("")
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(new URL(hash, location.href).href)
      setSaid("copied")
    } catch {
      setSaid("the address bar has it: copy it there")
    }
  }
  return (
    <>
      <button type="button" onClick={() => void copy()}>
        Copy the link
      </button>
      <span role="status" class="faint">
        {said}
      </span>
    </>
  )
}

const zipped = ({ files }: Found): Uint8Array =>
  zipSync(Object.fromEntries(Object.entries(files).map(([name, text]) => [name, strToU8(text)])))

function save(name: string, bytes: Uint8Array): void {
  const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>]))
  const link = Object.assign(document.createElement("a"), { href: url, download: name })
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
