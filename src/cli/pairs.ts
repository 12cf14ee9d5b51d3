import { basename } from "node:path"
import { InputError, type Model, type Pair, pairsFromPrompts, parsePairs } from "../index.ts"
import { checkPair } from "../steering/pairs.ts"
import { linesOf, readText } from "./files.ts"
import { type Options, type OptionTable, quote } from "./options.ts"
import { counted } from "./text.ts"

/** The options of a vector that is trained from pairs. */
export const pairsOptions: OptionTable = {
  positive: { value: "TEXT", help: "the text that the vector shall lead to …" },
  negative: { value: "TEXT", help: "… and the text that it shall lead away from" },
  pairs: { value: "FILE.jsonl", help: 'contrast pairs, {"positive": …, "negative": …} a line' },
}

/** The options that make many pairs of one positive and one negative text. */
export const suffixOptions: OptionTable = {
  "suffixes": { value: "FILE", help: "what both texts go on with, one a line, in place of 64 neutral beginnings of sentences" },
  "template": { value: "TEXT", help: "how a text and a suffix make a prompt: {persona} and {suffix} stand for them" },
  "no-suffixes": { help: "the two texts alone, as a single pair" },
}

/** Pairs to train a vector from. */
export interface PairsSource {
  readonly pairs: readonly Pair[]
  /** What to call them. */
  readonly from: string
}

/** The pairs of a file. @throws InputError naming file and line */
export async function readPairsFile(path: string): Promise<PairsSource> {
  return pairsOfFile(path, await readText(path))
}

/** The pairs of a file's text. @throws InputError naming file and line */
export function pairsOfFile(path: string, text: string): PairsSource {
  const pairs = parsePairs(text, path)
  return { pairs, from: `${counted(pairs.length, "pair")} of ${basename(path)}` }
}

/** The single pair of --positive and --negative; undefined when they are not given. */
export function readPair(options: Options): PairsSource | undefined {
  const positive = options.text("positive")
  const negative = options.text("negative")
  if (positive === undefined && negative === undefined) return undefined
  if (!positive || !negative) {
    const missing = positive ? "--negative" : "--positive"
    throw new InputError({ where: missing, expected: "the other text of the pair", found: "nothing" })
  }
  checkPair({ positive, negative }, "--positive and --negative")
  return { pairs: [{ positive, negative }], from: `${quote(positive)} against ${quote(negative)}` }
}

/** The pairs that --positive and --negative make with the suffixes; undefined when they are not given. */
export async function readPromptPairs(options: Options): Promise<PairsSource | undefined> {
  const single = readPair(options)
  const [first] = single?.pairs ?? []
  if (!single || !first) {
    const lonely = Object.keys(suffixOptions).find((name) => options.has(name))
    if (lonely === undefined) return undefined
    throw new InputError({ where: `--${lonely}`, expected: "--positive and --negative beside it", found: "neither" })
  }
  options.oneOf(["no-suffixes"], ["suffixes", "template"])
  if (options.has("no-suffixes")) return single
  const suffixes = await readSuffixes(options.text("suffixes"))
  const template = options.text("template")
  const pairs = pairsFromPrompts(first.positive, first.negative, {
    ...(suffixes !== undefined && { suffixes }),
    ...(template !== undefined && { template }),
  })
  return { pairs, from: `${single.from}, ${counted(pairs.length, "suffix", "suffixes")}` }
}

/** Encodes the pairs early, so that what is wrong with them is said before any work. @throws InputError */
export function checkPairs(model: Model, { pairs }: PairsSource): void {
  for (const { positive, negative } of pairs) {
    model.encode(positive)
    model.encode(negative)
  }
}

async function readSuffixes(file: string | undefined): Promise<string[] | undefined> {
  if (file === undefined) return undefined
  const lines = linesOf(await readText(file))
  if (lines.length > 0) return lines
  throw new InputError({ where: file, expected: "a suffix on each line", found: "no text" })
}
