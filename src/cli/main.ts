#!/usr/bin/env node
import { InputError, RedlineError } from "../index.ts"
import { type Command, commonOptions } from "./command.ts"
import { find } from "./find.ts"
import { generate } from "./generate.ts"
import { grade } from "./grade.ts"
import { commandHelp, groupHelp, overallHelp } from "./help.ts"
import { info } from "./info.ts"
import { layers } from "./layer-map.ts"
import { didYouMean, parseOptions, quote } from "./options.ts"
import { saeEncode } from "./sae-encode.ts"
import { saeFeatures } from "./sae-features.ts"
import { score } from "./score.ts"
import { report } from "./report.ts"
import { standardOutput } from "./stdout.ts"
import { serve } from "./serve.ts"
import { study } from "./study.ts"
import { version } from "./version.ts"
import { Terminal } from "./terminal.ts"
import { trace } from "./trace.ts"
import { train } from "./train.ts"
import { vectorCombine } from "./vector-combine.ts"
import { vectorConvert } from "./vector-convert.ts"
import { vectorShow } from "./vector-show.ts"

const commands: readonly Command[] = [
  find,
  generate,
  score,
  trace,
  train,
  vectorShow,
  vectorConvert,
  vectorCombine,
  saeEncode,
  saeFeatures,
  layers,
  study,
  grade,
  report,
  serve,
  info,
]

const EXIT = { done: 0, failed: 1, badInput: 2, stopped: 130 } as const
const stdout = standardOutput()

/** Runs the command line and gives the exit code. */
async function main(args: readonly string[]): Promise<number> {
  if (args[0] === "--help" || args[0] === "-h") return say(overallHelp(commands))
  if (args[0] === "help") return main([...args.slice(1), "--help"])
  if (args[0] === "--version") return say(version())
  const wantsHelp = args.includes("--help") || args.includes("-h")
  const group = commands.filter(({ name }) => name.startsWith(`${args[0]} `))
  if (wantsHelp && group.length > 0 && isOption(args[1])) return say(groupHelp(group))
  const command = group.length > 0 ? memberNamed(args[0] as string, args[1], group) : commandNamed(args[0])
  if (wantsHelp) return say(commandHelp(command))
  const rest = args.slice(command.name.split(" ").length)
  const options = parseOptions(rest, { ...command.options, ...commonOptions }, command.name, command.operands)
  const terminal = new Terminal(stdout, process.stderr, {
    json: options.has("json"),
    quiet: options.has("quiet"),
    noColor: process.env.NO_COLOR,
  })
  const stop = new AbortController()
  // Once: the second Ctrl-C finds no listener and ends the process.
  process.once("SIGINT", () => stop.abort())
  try {
    await command.run({ options, terminal, signal: stop.signal })
    return stop.signal.aborted ? EXIT.stopped : EXIT.done
  } catch (error) {
    if (!stop.signal.aborted || error !== stop.signal.reason) throw error
    terminal.note("stopped before there was a result")
    return EXIT.stopped
  } finally {
    terminal.clearProgress()
  }
}

function commandNamed(name: string | undefined): Command {
  const command = commands.find((known) => known.name === name)
  return command ?? unknownName("command", name, [...new Set(commands.map((known) => known.name.split(" ")[0] as string))])
}

/** The command `vector show` for the names `vector` and `show`. */
function memberNamed(first: string, second: string | undefined, group: readonly Command[]): Command {
  const command = group.find(({ name }) => name === `${first} ${second}`)
  return (
    command ??
    unknownName(
      first,
      second,
      group.map(({ name }) => name.slice(first.length + 1)),
    )
  )
}

function unknownName(where: string, name: string | undefined, names: readonly string[]): never {
  const expected = `one of ${names.join(", ")}`
  const help = { todo: `«redline ${where === "command" ? "" : `${where} `}--help» says more` }
  if (name === undefined || isOption(name)) throw new InputError({ where, expected, found: name ?? "nothing", ...help })
  throw new InputError({ where, expected, found: quote(name), ...help, ...didYouMean(name, names) })
}

const isOption = (word: string | undefined): boolean => word?.startsWith("-") ?? false

function say(text: string): number {
  stdout.write(`${text}\n`)
  return EXIT.done
}

function fail(error: unknown): number {
  const debug = process.argv.includes("--debug")
  const message = error instanceof Error ? error.message : String(error)
  const known = error instanceof RedlineError
  const line = `redline: ${known ? "" : "internal error: "}${message.replace(/\s*\n\s*/g, " ")}`
  const hint = known || debug ? "" : " (--debug shows where)"
  process.stderr.write(`${line}${hint}\n`)
  if (debug && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  return error instanceof InputError ? EXIT.badInput : EXIT.failed
}

// «redline find | head» closes the pipe early: nothing more to say then.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT.failed)
  throw error
})

const code = await main(process.argv.slice(2)).catch(fail)
// Dawn may keep the process alive: it ends here, once everything is written.
process.stdout.write("", () => process.exit(code))
