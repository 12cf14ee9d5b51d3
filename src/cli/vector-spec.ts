import { InputError, type SteeringPositions, type SteeringWay } from "../index.ts"
import { anyNumber, didYouMean, type NumberKind, parseLayers, quote } from "./options.ts"

/** A vector's file and what follows it, `FILE[:COEFFICIENT][:LAYERS][:POSITIONS][:WAY][:keep-length]`. */
export interface VectorSpec {
  readonly file: string
  readonly coefficient: number | undefined
  readonly how: Manner
}

/** How a vector acts. What is undefined was not said. */
export interface Manner {
  readonly layers?: readonly number[]
  readonly positions?: Positions
  readonly way?: SteeringWay
  readonly keepLength?: true
}

/** Positions as they are written: a range has its last position in it, and none where it goes on to the end. */
export type Positions = Extract<SteeringPositions, string> | { readonly from: number; readonly to: number | undefined }

export const POSITIONS: readonly Extract<SteeringPositions, string>[] = ["all", "prompt", "generated", "last"]
export const WAYS: readonly SteeringWay[] = ["add", "ablate", "clamp", "rotate"]
const KEEP_LENGTH = "keep-length"

/**
 * Parses a vector with what it does. FILE goes to the last `.safetensors` or `.gguf`, so that it may have colons in it. The
 * fields after the coefficient are told apart by their form: they may come in any order, and one may be empty.
 * @throws InputError for another ending of FILE, or a field that is none or repeats another
 */
export function parseVectorSpec(text: string, where = `--vector ${text}`): VectorSpec {
  const { file, fields } = splitVectorSpec(text, where)
  const [coefficient = "", ...rest] = fields
  let how: Manner = {}
  for (const field of rest) {
    if (field === "") continue
    const read = parseManner(field, where)
    const again = Object.keys(read).find((key) => key in how)
    if (again !== undefined)
      throw new InputError({ where, expected: `${NOUNS[again as keyof Manner]} once`, found: quote(field) })
    how = { ...how, ...read }
  }
  return { file, coefficient: coefficient === "" ? undefined : parseNumber(coefficient, anyNumber, where), how }
}

/** A vector's file and the weight after it, `FILE[:WEIGHT]`. @throws InputError */
export function parseWeightedFile(text: string): { file: string; weight: number } {
  const { file, fields } = splitVectorSpec(text, text)
  if (fields.length > 1)
    throw new InputError({ where: text, expected: "FILE or FILE:WEIGHT", found: quote(`:${fields[1]}`) + " too" })
  return { file, weight: fields[0] === undefined ? 1 : parseNumber(fields[0], anyNumber, text) }
}

/** Positions as `all`, `prompt`, `generated`, `last` or `2..5`. @throws InputError */
export function parsePositions(text: string, where: string): Positions {
  const name = POSITIONS.find((known) => known === text)
  if (name !== undefined) return name
  const match = /^(-?\d{1,9})\.\.(-?\d{1,9})?$/.exec(text)
  const from = Number(match?.[1])
  const to = match?.[2] === undefined ? undefined : Number(match[2])
  // Whether 3..-1 is a range depends on the prompt's length.
  const backwards = to !== undefined && to < from && to < 0 === from < 0
  if (match && !backwards) return { from, to }
  throw new InputError({ where, expected: `${POSITIONS.join(", ")} or positions such as 2..5 or -3..-1`, found: quote(text) })
}

/** A way to act. @throws InputError naming the nearest one */
export function parseWay(text: string, where: string): SteeringWay {
  const way = WAYS.find((known) => known === text)
  if (way !== undefined) return way
  throw new InputError({ where, expected: WAYS.join(", "), found: quote(text), ...didYouMean(text, WAYS) })
}

/** Positions as the engine takes them, counted from 0, in a row whose prompt has `promptLength` tokens. */
export function resolvePositions(positions: Positions, promptLength: number): SteeringPositions {
  if (typeof positions === "string") return positions
  const place = (position: number): number => (position < 0 ? Math.max(0, promptLength + position) : position)
  const { from, to } = positions
  // A last position before the first token leaves nothing.
  const end = to === undefined ? Infinity : to < -promptLength ? 0 : place(to) + 1
  return [place(from), end]
}

const NOUNS: Readonly<Record<keyof Manner, string>> = {
  layers: "layers",
  positions: "positions",
  way: "a way",
  keepLength: KEEP_LENGTH,
}

function parseManner(field: string, where: string): Manner {
  if (field === KEEP_LENGTH) return { keepLength: true }
  if (field.includes("..") || POSITIONS.some((known) => known === field)) return { positions: parsePositions(field, where) }
  if (WAYS.some((known) => known === field)) return { way: parseWay(field, where) }
  if (/^\d/.test(field)) return { layers: parseLayers(field, where) }
  const expected = "layers such as 3-4, positions such as generated or 2..5, a way such as ablate, or keep-length"
  throw new InputError({ where, expected, found: quote(field), ...didYouMean(field, [...POSITIONS, ...WAYS, KEEP_LENGTH]) })
}

function splitVectorSpec(text: string, where: string): { file: string; fields: string[] } {
  const match = /^(.*\.(?:safetensors|gguf))(?::(.*))?$/is.exec(text)
  if (match) return { file: match[1] as string, fields: match[2]?.split(":").map((field) => field.trim()) ?? [] }
  throw new InputError({ where, expected: "a file that ends in .safetensors or .gguf", found: "another name" })
}

function parseNumber(text: string, kind: NumberKind, where: string): number {
  const value = Number(text)
  if (text !== "" && kind.fits(value)) return value
  throw new InputError({ where, expected: "a number after the file's name", found: quote(text) })
}
