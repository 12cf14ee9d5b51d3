import { InputError } from "../engine/errors.ts"
import { parseJson, show } from "../engine/json.ts"

/** Two texts that differ in what the steering vector shall mean. */
export interface Pair {
  readonly positive: string
  readonly negative: string
}

/** @throws InputError when a side is blank or both are the same text */
export function checkPair({ positive, negative }: Pair, where: string): void {
  for (const [key, text] of Object.entries({ positive, negative })) {
    if (text.trim() === "")
      throw new InputError({ where, expected: `a text that is not empty as "${key}"`, found: "an empty one" })
  }
  if (positive === negative) throw new InputError({ where, expected: "two sides that differ", found: `${show(positive)} twice` })
}

/**
 * The pairs of a JSONL text: an object with `positive` and `negative` on each line; blank lines are skipped, other
 * keys ignored.
 *
 * @param file the name to give in errors
 * @throws InputError naming file and line for the first line that is no such object, has an empty side or two equal ones,
 * or when there is no pair at all
 */
export function parsePairs(text: string, file = "pairs"): Pair[] {
  const pairs: Pair[] = []
  for (const [index, line] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    if (line.trim() !== "") pairs.push(parseLine(line, `${file}, line ${index + 1}`))
  }
  if (pairs.length === 0) {
    throw new InputError({ where: file, expected: 'a line {"positive": …, "negative": …} for each pair', found: "no pairs" })
  }
  return pairs
}

function parseLine(line: string, where: string): Pair {
  const value = parseObject(line, where)
  const pair = { positive: side(value, "positive", where), negative: side(value, "negative", where) }
  checkPair(pair, where)
  return pair
}

function parseObject(line: string, where: string): Record<string, unknown> {
  const value = parseJson(line, where)
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new InputError({ where, expected: 'a JSON object {"positive": …, "negative": …}', found: show(value) })
}

function side(value: Record<string, unknown>, key: keyof Pair, where: string): string {
  const text = value[key]
  if (typeof text === "string") return text
  const found = text === undefined ? `no key "${key}"` : show(text)
  throw new InputError({ where, expected: `a text that is not empty as "${key}"`, found })
}
