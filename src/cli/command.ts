import type { OperandSpec, Options, OptionTable } from "./options.ts"
import type { Terminal } from "./terminal.ts"

/** What a command runs with. */
export interface Context {
  readonly options: Options
  readonly terminal: Terminal
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal
}

/** A command of `redline`. */
export interface Command {
  /** A word, or two where commands belong together, such as `vector show`. */
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** What its help says below the options: conventions, defaults, the JSON. */
  readonly notes: readonly string[]
  readonly examples: readonly string[]
  /** Its own options; those of {@link commonOptions} are added. */
  readonly options: OptionTable
  /** The arguments without dashes that it takes; none unless told. */
  readonly operands?: OperandSpec
  readonly run: (context: Context) => Promise<void>
}

/** The options that every command takes. */
export const commonOptions: OptionTable = {
  model: { value: "DIR", help: "a Llama 3 model in Hugging Face's layout; the embedded tiny-talk unless told" },
  json: { help: "print one JSON document on stdout and nothing else there" },
  quiet: { help: "no notes and no progress on stderr, errors alone" },
  adapter: { value: "NAME", help: "a part of the WebGPU adapter's name; the fastest unless told" },
  matmul: { value: "HOW", help: "auto (f32), f32, or an adapter's matrix units: matrix or matrix-exact, which round to f16" },
  debug: { help: "stack traces, and WebGPU with validation and bounds checks: slower" },
  help: { help: "show this help" },
}
