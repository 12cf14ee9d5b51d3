import type { JSX } from "preact"
import type { Found } from "../protocol.ts"
import { Field } from "./field.tsx"
import { round, roundStep, shown } from "./scale.ts"

export interface SliderProps {
  readonly coefficient: number
  readonly found: Found | undefined
  /** The largest coefficient that was tried. */
  readonly tried: number | undefined
  readonly onMove: (coefficient: number) => void
}

/** Before a search says more: twice the difference of the two sides that a vector was trained from. */
const UNKNOWN_END = 2

export function rangeOf({ coefficient, found, tried }: Omit<SliderProps, "onMove">): { low: number; high: number; step: number } {
  const end = found?.max ? Math.min(found.max * 2, Math.max(tried ?? 0, found.max * 1.25)) : (tried ?? 0)
  const high = Math.max(end > 0 ? end : UNKNOWN_END, coefficient)
  const low = Math.min(0, coefficient)
  const step = roundStep((high - low) / 100)
  return { low: round(low, step), high: round(Math.ceil(high / step - 1e-9) * step, step), step }
}

const KEYS: Readonly<Record<string, number>> = {
  ArrowLeft: -1,
  ArrowDown: -1,
  ArrowRight: 1,
  ArrowUp: 1,
  PageDown: -10,
  PageUp: 10,
}

/** The coefficient, from 0 to past the redline: a native range whose track is coloured once the redline is known. */
export function Slider(props: SliderProps): JSX.Element {
  const { coefficient, found, onMove } = props
  const { low, high, step } = rangeOf(props)
  const redline = found?.max ?? undefined
  const part = ((redline ?? low) - low) / (high - low)
  // On the grid, but the redline itself where that is near.
  const snap = (value: number): number => {
    const near = redline !== undefined && Math.abs(value - redline) <= step / 2
    return near ? redline : Math.min(high, Math.max(low, round(value, step)))
  }
  const onKey = (event: KeyboardEvent): void => {
    const steps = KEYS[event.key]
    if (steps === undefined) return
    event.preventDefault()
    const to = snap(coefficient + steps * step)
    // From a redline between two places of the grid, a step leads past it.
    onMove(to === coefficient ? round(coefficient + Math.sign(steps) * step, step) : to)
  }
  const crossed = redline !== undefined && coefficient > redline
  const side = redline === undefined ? "" : crossed ? ", beyond the redline" : ", up to the redline"
  return (
    <div class={`slider ${redline === undefined ? "" : "known"} ${crossed ? "crossed" : ""}`}>
      <label for="coefficient">Coefficient</label>
      <div class="track" style={{ "--part": part }}>
        <input
          id="coefficient"
          type="range"
          min={low}
          max={high}
          step="any"
          value={coefficient}
          aria-valuetext={`${shown(coefficient)}${side}`}
          onInput={(event) => onMove(snap(event.currentTarget.valueAsNumber))}
          onKeyDown={onKey}
        />
        <div class="scale" aria-hidden="true">
          <span>{shown(low)}</span>
          {redline !== undefined && <strong>redline {shown(redline)}</strong>}
          <span>{shown(high)}</span>
        </div>
      </div>
      <Field
        type="number"
        aria-label="Coefficient, as a number"
        step={step}
        value={shown(coefficient)}
        onWritten={(text) => text !== "" && Number.isFinite(Number(text)) && onMove(Number(text))}
      />
    </div>
  )
}
