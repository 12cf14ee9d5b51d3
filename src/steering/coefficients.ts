import { InputError } from "../engine/errors.ts"
import { show } from "../engine/json.ts"

/** The coefficients to try: given ones in ascending order, or "auto" to let the search choose them. */
export type Coefficients = "auto" | readonly number[]

/** More coefficients than this are a slip of the pen rather than a search. */
export const MAX_COEFFICIENTS = 4096

const FORM = "start:end:step, a list of numbers with commas, or auto"
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i

/**
 * Coefficients as written on a command line: `0:8:0.25` (start:end:step, the end included), `0,1,2.5`, or `auto`.
 *
 * The list is as written: the baseline at 0 is not added here, the search evaluates it whether or not it is listed.
 *
 * @param where the option's name to give in errors
 * @throws InputError when they are not numbers, not ascending, none or more than {@link MAX_COEFFICIENTS}
 */
export function parseCoefficients(text: string, where = "coefficients"): Coefficients {
  const trimmed = text.trim()
  if (trimmed === "auto") return "auto"
  if (trimmed === "") throw new InputError({ where, expected: FORM, found: "nothing" })
  return trimmed.includes(":") ? parseRange(trimmed, where) : parseList(trimmed, where)
}

/** Throws an InputError unless `values` are finite as f32, ascending, some, and at most {@link MAX_COEFFICIENTS}. */
export function checkCoefficients(values: readonly number[], where = "coefficients"): void {
  checkCount(values.length, where)
  for (const [i, value] of values.entries()) {
    if (!Number.isFinite(Math.fround(value)))
      throw new InputError({ where, expected: "numbers that fit an f32", found: `${value}` })
    const before = values[i - 1]
    if (before !== undefined && before >= value) {
      throw new InputError({ where, expected: "ascending numbers, each once", found: `${value} after ${before}` })
    }
  }
}

function parseList(text: string, where: string): number[] {
  const values = text.split(",").map((part) => parseNumber(part, where))
  checkCoefficients(values, where)
  return values
}

function parseRange(text: string, where: string): number[] {
  const parts = text.split(":")
  if (parts.length !== 3) throw new InputError({ where, expected: FORM, found: show(text) })
  const [start, end, step] = parts.map((part) => parseNumber(part, where)) as [number, number, number]
  if (step <= 0) throw new InputError({ where, expected: "a step above 0", found: `${step}` })
  if (end < start)
    throw new InputError({ where, expected: "start:end:step with an end not below the start", found: `${start}:${end}` })

  // (0.3 - 0) / 0.1 is a little less than 3: without the tolerance the end would be lost.
  const count = Math.floor((end - start) / step + 1e-9) + 1
  checkCount(count, where)
  const digits = Math.min(Math.max(...parts.map(decimals)), 100)
  const values = Array.from({ length: count }, (_, i) => Number((start + i * step).toFixed(digits)) + 0)
  checkCoefficients(values, where)
  return values
}

function parseNumber(text: string, where: string): number {
  const trimmed = text.trim()
  if (!NUMBER.test(trimmed)) throw new InputError({ where, expected: FORM, found: show(text) })
  return Number(trimmed) + 0 // + 0 makes -0 a plain 0
}

/** Digits after the decimal point when the number is written out: 2 for 0.25, 3 for 1e-3. */
function decimals(text: string): number {
  const [mantissa = "", exponent = "0"] = text.trim().toLowerCase().split("e")
  const fraction = mantissa.split(".")[1] ?? ""
  return Math.max(0, fraction.length - Number(exponent))
}

function checkCount(count: number, where: string): void {
  if (count >= 1 && count <= MAX_COEFFICIENTS) return
  throw new InputError({ where, expected: `1 to ${MAX_COEFFICIENTS} numbers`, found: `${count}` })
}
