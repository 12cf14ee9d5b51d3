/** A linear scale with round ticks. */
export interface Scale {
  readonly ticks: readonly number[]
  /** The place of a value, from `from` to `to` as the scale was made. */
  at(value: number): number
}

/** @param count About how many ticks. */
export function scaleOf(low: number, high: number, from: number, to: number, count: number): Scale {
  const span = high > low ? high - low : 1
  const step = roundStep(span / count)
  const first = Math.ceil(low / step - 1e-9)
  const last = Math.floor((low + span) / step + 1e-9)
  return {
    ticks: Array.from({ length: last - first + 1 }, (_, i) => round((first + i) * step, step)),
    at: (value) => from + ((value - low) / span) * (to - from),
  }
}

/** The smallest of 1, 2 and 5 times a power of ten that is not below `step`. */
export function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step) + 1e-9)
  return (([1, 2, 5].find((factor) => factor * power >= step * (1 - 1e-9)) ?? 10) as number) * power
}

/** `value` on the grid of `step`, without the tail of a float. */
export const round = (value: number, step: number): number =>
  Number((Math.round(value / step) * step).toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)))) + 0

/** Four digits at most. */
export const shown = (value: number): string => `${Number(value.toPrecision(4))}`
