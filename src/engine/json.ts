import type { z } from "zod"
import { InputError } from "./errors.ts"

/**
 * Parses JSON that a user gave.
 * @param where Names the text in the message.
 * @throws InputError when it is not JSON.
 */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new InputError({ where, expected: "JSON", found: brokenJson(text, error) }, { cause: error })
  }
}

/**
 * The value in the shape of `schema`, whose messages say what was expected («a whole number»).
 * @throws InputError for the first field that is not of its shape.
 */
export function checkShape<T extends z.ZodType>(schema: T, value: unknown, where: string): z.output<T> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0] as z.core.$ZodIssue
  const field = issue.path.map(String).join(".")
  throw new InputError({
    where: field === "" ? where : `${where}, ${field}`,
    expected: issue.message,
    found: show(issue.path.reduce(member, value)),
  })
}

/** A value as a message shows it: JSON on one line, cut after 60 characters. */
export function show(value: unknown): string {
  if (value === undefined) return "nothing"
  if (typeof value === "number") return String(value) // JSON has no NaN
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

/** What an error of unknown origin says, on one line. */
export function reason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replace(/\s+/g, " ").trim()
}

function brokenJson(text: string, error: unknown): string {
  return text.trim() === "" ? "an empty text" : `broken JSON (${reason(error)})`
}

function member(value: unknown, key: PropertyKey): unknown {
  return typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined
}
