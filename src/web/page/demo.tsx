import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type { Catalogue, Connection } from "../protocol.ts"
import { type Choices, missing, readChoices, steeringOf, tokenOf, writeChoices } from "./choices.ts"
import { Downloads } from "./downloads.tsx"
import { useSearch } from "./search.ts"
import { SearchSection } from "./search-section.tsx"
import { SteerForm } from "./steer-form.tsx"
import { TrialSection } from "./trial-section.tsx"
import { useTrial } from "./trial.ts"

/** How long the slider must rest before it asks for texts, in ms. */
const REST = 250

/** How long the choices must rest before the address tells them, in ms: browsers refuse more than 100 writes in half a minute. */
const WRITTEN = 400

/** What a redline is of: another model, vector, layers or way of asking has another. */
const subjectOf = (choices: Choices): string => JSON.stringify([steeringOf(choices), choices.chat])

export function Demo({ connection, catalogue }: { connection: Connection; catalogue: Catalogue }): JSX.Element {
  const [choices, update, latest] = useChoices(catalogue)
  const search = useSearch(connection)
  const trial = useTrial(connection)
  const waiting = useRef<ReturnType<typeof setTimeout>>(undefined)
  const { found, points } = search.result ?? {}

  const again = (): void => {
    clearTimeout(waiting.current)
    waiting.current = setTimeout(() => {
      if (missing(latest()) === undefined && latest().prompt !== "") trial.again(latest())
    }, REST)
  }
  const change = (news: Partial<Choices>): void => {
    const before = latest()
    const now = update(news)
    const other = subjectOf(now) !== subjectOf(before)
    if (other) search.clear()
    if (now.model !== before.model || now.chat !== before.chat) return trial.clear()
    const { coefficient, where, tokens, temperature } = news
    const matters = other || [coefficient, where, tokens, temperature].some((value) => value !== undefined)
    // A chat begins with a message; a text, as soon as the slider moves.
    if (matters && (trial.turns.length > 0 || (coefficient !== undefined && !now.chat))) again()
  }
  const choose = (coefficient: number): void => change({ coefficient })
  const start = (): void => {
    clearTimeout(waiting.current)
    trial.start(latest())
    if (latest().chat && missing(latest()) === undefined) update({ prompt: "" })
  }
  const form = { catalogue, choices, onChange: change }
  return (
    <>
      <section aria-labelledby="what">
        <h2 id="what">Model and vector</h2>
        <SteerForm {...form} />
      </section>
      <SearchSection
        {...form}
        search={search}
        onStart={() => search.start(latest(), ({ max }) => max !== null && choose(max))}
        onChoose={choose}
      />
      <TrialSection
        {...form}
        trial={trial}
        found={found}
        tried={points?.at(-1)?.coefficient}
        legend={points === undefined || points.length === 0}
        onStart={start}
      />
      <Downloads connection={connection} catalogue={catalogue} choices={choices} found={found} />
    </>
  )
}

/** The choices, kept in the address bar; the third tells them as they are, between renderings too. */
function useChoices(catalogue: Catalogue): [Choices, (news: Partial<Choices>) => Choices, () => Choices] {
  const [choices, setChoices] = useState(() => readChoices(location.hash, catalogue))
  const latest = useRef(choices)
  const waiting = useRef<ReturnType<typeof setTimeout>>(undefined)
  const write = (): void => {
    // A token that was just pasted is still to be read, by the page that loads.
    if (tokenOf(location.hash) !== null) return
    try {
      history.replaceState(null, "", writeChoices(latest.current, catalogue))
    } catch {
      // Refused, as after many others: the next change tries again.
    }
  }
  useEffect(() => {
    const onHash = (): void => setChoices((latest.current = readChoices(location.hash, catalogue)))
    addEventListener("hashchange", onHash)
    return () => removeEventListener("hashchange", onHash)
  }, [catalogue])
  const update = (news: Partial<Choices>): Choices => {
    const now = { ...latest.current, ...news }
    latest.current = now
    setChoices(now)
    clearTimeout(waiting.current)
    waiting.current = setTimeout(write, WRITTEN)
    return now
  }
  return [choices, update, () => latest.current]
}
