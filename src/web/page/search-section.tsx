import type { JSX } from "preact"
import type { Found } from "../protocol.ts"
import { Curve } from "./curve.tsx"
import { Field, Lines } from "./field.tsx"
import { shown } from "./scale.ts"
import type { Search } from "./search.ts"
import { Status } from "./status.tsx"
import type { FormProps } from "./steer-form.tsx"
import { Texts } from "./texts.tsx"
import { Legend } from "./tokens.tsx"

export interface SearchSectionProps extends FormProps {
  readonly search: Search
  readonly onStart: () => void
  readonly onChoose: (coefficient: number) => void
}

/** The search: its settings, its curve as it grows, and the texts. */
export function SearchSection({ search, onStart, onChoose, ...form }: SearchSectionProps): JSX.Element {
  const { choices } = form
  const { result, task } = search
  return (
    <section aria-labelledby="search">
      <h2 id="search">Find the redline</h2>
      <p class="faint">
        The text is made at many coefficients at once; the redline is the last one before the unsteered model finds it improbable.
      </p>
      <div class="actions">
        <button type="button" class="primary" onClick={onStart}>
          Find the redline
        </button>
        <Status {...task} onStop={task.stop} />
      </div>
      <SearchSettings {...form} />
      {result && result.points.length > 0 && (
        <>
          {result.found && <Verdict found={result.found} />}
          <div class="found">
            <Curve {...result} coefficient={choices.coefficient} onChoose={onChoose} />
            <Texts {...result} prompts={result.request.prompts} coefficient={choices.coefficient} onChoose={onChoose} />
          </div>
          <Legend />
        </>
      )}
    </section>
  )
}

/** The metric that a page watches unless told, in words. */
const describe = (metric: string): string => (metric === "improbable" ? "the share of improbable tokens" : metric)

function Verdict({ found }: { found: Found }): JSX.Element {
  const { max, crossing, limit, baseline, metric, reason, minimum } = found
  if (max === null) {
    return (
      <div role="status">
        <p class="verdict">No redline found.</p>
        <p>
          {describe(metric)} has not reached its threshold {shown(limit)} ({shown(baseline)} at coefficient 0):{" "}
          {reason ?? "no crossing"}. Try larger coefficients, or other prompts.
        </p>
      </div>
    )
  }
  return (
    <div role="status">
      <p class="verdict">The redline is {shown(max)}.</p>
      <p>
        Up to there the unsteered model finds the text about as probable as its own.
        {crossing !== null && ` At ${shown(crossing)}, ${describe(metric)} crosses its threshold ${shown(limit)}.`}
        {minimum !== null && ` The vector takes effect from ${shown(minimum)}.`}
      </p>
    </div>
  )
}

function SearchSettings({ choices, catalogue, onChange }: FormProps): JSX.Element {
  const { limits } = catalogue
  const lines = (text: string): string[] => text.split("\n").filter((line) => line.trim() !== "")
  return (
    <details class="settings">
      <summary>Search settings</summary>
      <div class="fields">
        <label class="wide">
          {choices.chat ? "Messages to answer" : "Texts to continue"}, one a line
          <Lines
            name="prompts"
            rows={3}
            value={choices.prompts.join("\n")}
            maxLength={limits.characters}
            onWritten={(text) => onChange({ prompts: lines(text).slice(0, limits.prompts) })}
          />
        </label>
        <label>
          Coefficients
          <Field
            type="text"
            name="coefficients"
            value={choices.coefficients}
            aria-describedby="coefficients-form"
            onWritten={(text) => onChange({ coefficients: text.trim() || "auto" })}
          />
          <small id="coefficients-form">auto, or 0:2:0.1, or 0,0.5,1</small>
        </label>
        <label>
          Tokens of a text
          <Count
            name="search-tokens"
            value={choices.searchTokens}
            max={limits.tokens}
            onChange={(searchTokens) => onChange({ searchTokens })}
          />
        </label>
      </div>
    </details>
  )
}

export interface CountProps {
  readonly name: string
  readonly value: number
  readonly max: number
  readonly onChange: (value: number) => void
}

/** A whole number from 1 to `max`. */
export function Count({ name, value, max, onChange }: CountProps): JSX.Element {
  return (
    <Field
      type="number"
      name={name}
      min={1}
      max={max}
      step={1}
      value={value}
      onWritten={(text) => {
        const typed = Math.round(Number(text))
        onChange(text !== "" && Number.isFinite(typed) ? Math.min(max, Math.max(1, typed)) : value)
      }}
    />
  )
}
