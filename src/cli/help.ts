import { type Command, commonOptions } from "./command.ts"
import type { OptionTable } from "./options.ts"
import { wrap } from "./text.ts"

const WIDTH = 100

const CONVENTIONS =
  "Each takes --help; redline help COMMAND shows it too. The model is the embedded tiny-talk unless --model DIR names another. Results go to stdout, notes, progress " +
  "and errors to stderr. Exit code: 0 done, 1 failed, 2 wrong use or bad input, 130 stopped by Ctrl-C."

/** The help of `redline` itself. */
export function overallHelp(commands: readonly Command[]): string {
  return [
    "Finds the redline of a steering vector: the largest coefficient at which a language model still makes sense.",
    "",
    "Commands:",
    ...commandLines(commands),
    "",
    ...wrap(CONVENTIONS, WIDTH),
    "",
    "Start with:  redline find --demo",
  ].join("\n")
}

/** The help of commands that belong together. */
export function groupHelp(commands: readonly Command[]): string {
  return ["Commands:", ...commandLines(commands), "", ...wrap(CONVENTIONS, WIDTH)].join("\n")
}

/** The help of one command. */
export function commandHelp({ name, summary, options, operands, notes, examples }: Command): string {
  return [
    ...wrap(`redline ${name}: ${summary}`, WIDTH),
    "",
    ...(operands ? ["Arguments:", ...hang(`  ${operands.value}`.padEnd(30), operands.help), ""] : []),
    ...(Object.keys(options).length > 0 ? ["Options:", ...optionLines(options), ""] : []),
    "Options of every command:",
    ...optionLines(commonOptions),
    "",
    ...notes.flatMap((note) => [...wrap(note, WIDTH), ""]),
    "Examples:",
    ...examples.map((example) => `  ${example}`),
  ].join("\n")
}

function commandLines(commands: readonly Command[]): string[] {
  const longest = Math.max(...commands.map(({ name }) => name.length))
  return commands.flatMap(({ name, summary }) => hang(`  redline ${name.padEnd(longest)}  `, summary))
}

function optionLines(table: OptionTable): string[] {
  return Object.entries(table).flatMap(([name, { value, help }]) =>
    hang(`  --${name}${value === undefined ? "" : ` ${value}`}`.padEnd(30), help),
  )
}

/** `text` beside `label`, its further lines indented below the first. */
function hang(label: string, text: string): string[] {
  return wrap(text, WIDTH - label.length).map((line, i) => `${i === 0 ? label : " ".repeat(label.length)}${line}`)
}
