import { readFile } from "node:fs/promises"
import { parseArgs } from "node:util"
import { Options } from "../src/cli/options.ts"
import { parseJson } from "../src/engine/json.ts"
import { InputError, RedlineError } from "../src/index.ts"

/** Options of a script, by their names without dashes, with the values that they have unless told. */
export type ScriptOptions = Readonly<Record<string, string | undefined>>

/**
 * Parses a script's arguments; every option takes a value.
 * @throws InputError for an option that it does not take, or another number of operands.
 */
export function parseScript(name: string, args: readonly string[], defaults: ScriptOptions, operands: string[] = []): Options {
  const names = Object.keys(defaults)
  const options = Object.fromEntries(names.map((option) => [option, { type: "string" } as const]))
  const expected = [...operands, ...names.map((option) => `--${option}`)].join(" ")
  const parsed = attempt(() => parseArgs({ args: [...args], options, strict: true, allowPositionals: true }), name, expected)
  const { values, positionals } = parsed
  if (positionals.length > operands.length) {
    throw new InputError({ where: name, expected, found: `«${positionals[operands.length]}» too` })
  }
  const given = Object.entries({ ...defaults, ...values }).flatMap(([key, value]): [string, string[]][] =>
    typeof value === "string" ? [[key, [value]]] : [],
  )
  const table = Object.fromEntries(names.map((option) => [option, { value: "VALUE", help: "" }]))
  return new Options(table, new Map(given), positionals)
}

/** What a JSON file holds. @throws InputError when it is not there or no JSON. */
export async function readJson(file: string): Promise<unknown> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    const found = (error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file" : String(error)
    throw new InputError({ where: file, expected: "a JSON file", found }, { cause: error })
  })
  return parseJson(text, file)
}

/** Numbers as `1,8,64`. @throws InputError when they are not whole numbers of at least 1. */
export function parseCounts(text: string, where: string): number[] {
  const counts = text.split(",").map((part) => (/^\s*\d{1,9}\s*$/.test(part) ? Number(part) : 0))
  if (counts.every((count) => count >= 1)) return counts
  throw new InputError({ where, expected: "whole numbers of at least 1, such as 1,8,64", found: `«${text}»` })
}

/**
 * Runs a script: what it throws on purpose becomes one line and exit code 2 (bad input) or 1. So does an end of the process while
 * it still waits, which Node.js may call a success.
 */
export async function runScript(name: string, main: () => Promise<void>): Promise<void> {
  const unfinished = (): void => {
    process.stderr.write(`${name}: expected an end, found that it waits for what never comes\n`)
    process.exitCode = 1
  }
  process.once("exit", unfinished)
  try {
    await main()
  } catch (error) {
    if (!(error instanceof RedlineError)) throw error
    const line = error.message.replace(/\s*\n\s*/g, " ")
    process.stderr.write(line.startsWith(name) ? `${line}\n` : `${name}: ${line}\n`)
    process.exitCode = error instanceof InputError ? 2 : 1
  } finally {
    process.off("exit", unfinished)
  }
}

function attempt<T>(work: () => T, where: string, expected: string): T {
  try {
    return work()
  } catch (error) {
    const found = error instanceof Error ? (error.message.split(". ")[0] as string) : String(error)
    throw new InputError({ where, expected, found }, { cause: error })
  }
}
