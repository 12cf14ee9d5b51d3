#!/usr/bin/env node
import { readFileSync } from "node:fs"
import { InputError, RedlineError, nearest } from "../index.ts"
import { type Command, commonOptions } from "./command.ts"
import { find } from "./find.ts"
import { generate } from "./generate.ts"
import { commandHelp, overallHelp } from "./help.ts"
import { info } from "./info.ts"
import { parseOptions, quote } from "./options.ts"
import { score } from "./score.ts"
import { Terminal } from "./terminal.ts"
import { trace } from "./trace.ts"
import { train } from "./train.ts"

const commands: readonly Command[] = [find, generate, score, trace, train, info]

const EXIT = { done: 0, failed: 1, badInput: 2, stopped: 130 } as const

/** Runs the command line and gives the exit code. */
async function main([name, ...args]: readonly string[]): Promise<number> {
  if (name === "--help" || name === "-h") return say(overallHelp(commands))
  if (name === "--version") return say(version())
  const command = commandNamed(name)
  if (args.includes("--help") || args.includes("-h")) return say(commandHelp(command))
  const options = parseOptions(args, { ...command.options, ...commonOptions }, command.name)
  const terminal = new Terminal(process.stdout, process.stderr, {
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
  const names = commands.map((command) => command.name)
  const command = commands.find((known) => known.name === name)
  if (command) return command
  const expected = `one of ${names.join(", ")}`
  if (name === undefined || name.startsWith("-")) {
    throw new InputError({ where: "command", expected, found: name ?? "nothing", todo: "«redline --help» says more" })
  }
  throw new InputError({ where: "command", expected, found: quote(name), todo: `did you mean ${nearest(name, names)[0]}?` })
}

function say(text: string): number {
  process.stdout.write(`${text}\n`)
  return EXIT.done
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8")
  return (JSON.parse(text) as { version: string }).version
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
