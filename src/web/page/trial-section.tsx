import type { JSX } from "preact"
import type { Found, SteeredPart } from "../protocol.ts"
import { modelOf, STEERED_PARTS } from "./choices.ts"
import { Field, Lines } from "./field.tsx"
import { shown } from "./scale.ts"
import { Count } from "./search-section.tsx"
import { Slider } from "./slider.tsx"
import { Status } from "./status.tsx"
import type { FormProps } from "./steer-form.tsx"
import { Legend, Tokens } from "./tokens.tsx"
import { SIDES, type Trial, type Turn } from "./trial.ts"

export interface TrialSectionProps extends FormProps {
  readonly trial: Trial
  readonly found: Found | undefined
  readonly tried: number | undefined
  /** Whether the shades are explained here; the search's texts have the same. */
  readonly legend: boolean
  readonly onStart: () => void
}

/** The slider, and both sides' texts at its coefficient. */
export function TrialSection({ trial, found, tried, legend, onStart, ...form }: TrialSectionProps): JSX.Element {
  const { choices, onChange } = form
  const { turns, task } = trial
  return (
    <section aria-labelledby="trial">
      <h2 id="trial">Steer</h2>
      <Slider coefficient={choices.coefficient} found={found} tried={tried} onMove={(coefficient) => onChange({ coefficient })} />
      <TrialSettings {...form} />
      <div aria-label="texts side by side" role="group">
        {turns.map((turn, i) => (
          <SideBySide key={i} turn={turn} chat={choices.chat} found={found} />
        ))}
      </div>
      <PromptForm {...form} trial={trial} onStart={onStart} />
      <div class="actions">
        <Status {...task} onStop={task.stop} />
        {turns.length > 0 && !task.activity && (
          <button type="button" onClick={trial.clear}>
            Clear
          </button>
        )}
      </div>
      {legend && turns.length > 0 && <Legend />}
    </section>
  )
}

function PromptForm({ choices, catalogue, onChange, trial, onStart }: FormProps & Pick<TrialSectionProps, "trial" | "onStart">) {
  const { chat } = choices
  const { limits } = catalogue
  const asked = trial.turns.length
  const full = chat && 2 * asked + 1 > limits.messages
  return (
    <form
      class="prompt"
      onSubmit={(event) => {
        event.preventDefault()
        onStart()
      }}
    >
      <label class="wide">
        {chat ? (asked === 0 ? "Message to both" : "Next message to both") : "Text to continue"}
        <Lines
          name="prompt"
          rows={2}
          value={choices.prompt}
          required
          maxLength={limits.characters}
          onWritten={(prompt) => onChange({ prompt })}
          onKeyDown={(event) => {
            if (!chat || event.key !== "Enter" || event.shiftKey || event.isComposing) return
            event.preventDefault()
            event.currentTarget.blur() // tells of the change first
            event.currentTarget.focus()
            event.currentTarget.form?.requestSubmit()
          }}
        />
      </label>
      <button type="submit" class="primary" disabled={full}>
        {chat ? "Send" : "Generate"}
      </button>
      {full && <p class="faint">The conversation is as long as it may be: clear it to begin anew.</p>}
    </form>
  )
}

/** A prompt and what each side makes of it. */
function SideBySide({ turn, chat, found }: { turn: Turn; chat: boolean; found: Found | undefined }): JSX.Element {
  const beyond = typeof found?.max === "number" && turn.coefficient > found.max
  return (
    <div class={chat ? "turn chat" : "turn"}>
      {chat && <p class="message">{turn.prompt}</p>}
      <div class="sides">
        {SIDES.map((side) => {
          const { pieces, logprobs, stopped } = turn.answers[side]
          return (
            <article key={side} class={side === "steered" ? (beyond ? "steered broken" : "steered") : "unsteered"}>
              <h3>
                {side === "steered" ? `steered × ${shown(turn.coefficient)}` : "unsteered"}
                {side === "steered" && beyond && <small> beyond the redline</small>}
              </h3>
              <p>
                {!chat && <q>{turn.prompt}</q>}
                <Tokens pieces={pieces} logprobs={logprobs} />
                {stopped === "length" && (
                  <span class="faint" title="the length that was asked for">
                    …
                  </span>
                )}
              </p>
            </article>
          )
        })}
      </div>
    </div>
  )
}

function TrialSettings({ choices, catalogue, onChange }: FormProps): JSX.Element {
  const model = modelOf(choices, catalogue)
  return (
    <div class="fields row">
      <fieldset class="mode">
        <legend>Mode</legend>
        {[false, true].map((chat) => (
          <label key={`${chat}`}>
            <input
              type="radio"
              name="mode"
              checked={choices.chat === chat}
              disabled={chat && !model.chat}
              onChange={() => onChange({ chat })}
            />
            {chat ? "chat" : "continue a text"}
          </label>
        ))}
        {!model.chat && <small>{model.name} has no chat template.</small>}
      </fieldset>
      <label>
        Where
        <select
          name="where"
          value={choices.where}
          onChange={(event) => onChange({ where: event.currentTarget.value as SteeredPart })}
        >
          {Object.entries(STEERED_PARTS).map(([part, name]) => (
            <option key={part} value={part}>
              {name}
            </option>
          ))}
        </select>
      </label>
      <label>
        Tokens
        <Count name="tokens" value={choices.tokens} max={catalogue.limits.tokens} onChange={(tokens) => onChange({ tokens })} />
      </label>
      <label>
        Temperature
        <Field
          type="number"
          name="temperature"
          min={0}
          max={10}
          step={0.1}
          value={choices.temperature}
          onWritten={(text) => {
            if (text !== "" && Number(text) >= 0 && Number(text) <= 10) onChange({ temperature: Number(text) })
          }}
        />
      </label>
    </div>
  )
}
