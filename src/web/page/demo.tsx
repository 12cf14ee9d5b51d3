import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type { Catalogue, Connection, Found } from "../protocol.ts"
import { type Choices, missing, readChoices, steeringOf, tokenOf, writeChoices } from "./choices.ts"
import { Downloads } from "./downloads.tsx"
import { useSearch } from "./search.ts"
import { SearchSection } from "./search-section.tsx"
import { SteerForm } from "./steer-form.tsx"
import { TrialSection } from "./trial-section.tsx"
import { useTrial } from "./trial.ts"

/** How long the choices must rest before the address tells them, in ms: browsers refuse more than 100 writes in half a minute. */
const REST = 400

/** What a redline is of: another model, vector, layers or way of asking has another. */
const subjectOf = (choices: Choices): string => JSON.stringify([steeringOf(choices), choices.chat])

export function Demo({ connection, catalogue }: { connection: Connection; catalogue: Catalogue }): JSX.Element {
  const [choices, update, latest] = useChoices(catalogue)
  const search = useSearch(connection)
  const trial = useTrial(connection, (prompt) => latest().prompt === "" && update({ prompt }))
  const { found, points } = search.result ?? {}

  const change = (news: Partial<Choices>): void => {
    const before = latest()
    const now = update(news)
    const other = subjectOf(now) !== subjectOf(before)
    if (other) search.clear()
    if (now.model !== before.model || now.chat !== before.chat) return trial.clear()
    const { coefficient, where, tokens, temperature } = news
    const matters = other || [coefficient, where, tokens, temperature].some((value) => value !== undefined)
    if (matters && (trial.turns.length > 0 || coefficient !== undefined)) trial.again(latest)
  }
  const choose = (coefficient: number): void => change({ coefficient })
  // What is being made was asked for since the search began: it stays, and the slider alone moves.
  const onFound = ({ max }: Found): void => {
    if (max === null) return
    if (trial.task.busy()) update({ coefficient: max })
    else choose(max)
  }
  useHash((hash) => {
    const now = readChoices(hash, catalogue)
    if (subjectOf(now) !== subjectOf(latest())) {
      search.clear()
      trial.clear()
    }
    update(now)
  })
  const start = (): void => {
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
      <SearchSection {...form} search={search} onStart={() => search.start(latest(), onFound)} onChoose={choose} />
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
  const update = (news: Partial<Choices>): Choices => {
    const now = { ...latest.current, ...news }
    latest.current = now
    setChoices(now)
    clearTimeout(waiting.current)
    waiting.current = setTimeout(write, REST)
    return now
  }
  return [choices, update, () => latest.current]
}

/** Tells of another link that was opened in this tab. */
function useHash(onHash: (hash: string) => void): void {
  const latest = useRef(onHash)
  latest.current = onHash
  useEffect(() => {
    // As it was opened: the address may have been written since.
    const tell = ({ newURL }: HashChangeEvent): void => latest.current(new URL(newURL).hash)
    addEventListener("hashchange", tell)
    return () => removeEventListener("hashchange", tell)
  }, [])
}
