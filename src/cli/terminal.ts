import { toJson } from "./text.ts"

/** The part of a stream that a {@link Terminal} uses. */
export interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export interface TerminalOptions {
  readonly json: boolean
  readonly quiet: boolean
  /** As the environment has it: with NO_COLOR set to anything but nothing there are no colours. */
  readonly noColor?: string | undefined
}

const ESCAPES = { bold: ["\x1b[1m", "\x1b[22m"], dim: ["\x1b[2m", "\x1b[22m"] } as const

export type Style = keyof typeof ESCAPES

/** Where a command prints: results on stdout, notes and progress on stderr. */
export class Terminal {
  /** Whether the result is one JSON document instead of text. */
  readonly json: boolean
  readonly #stdout: Output
  readonly #stderr: Output
  readonly #quiet: boolean
  readonly #colour: boolean
  #progressShown = false

  constructor(stdout: Output, stderr: Output, { json, quiet, noColor }: TerminalOptions) {
    this.json = json
    this.#stdout = stdout
    this.#stderr = stderr
    this.#quiet = quiet
    this.#colour = stdout.isTTY === true && !noColor
  }

  /** Whether a person watches stdout. */
  get interactive(): boolean {
    return this.#stdout.isTTY === true
  }

  /** Columns of a line; 100 where stdout is no terminal. */
  get width(): number {
    return (this.interactive && this.#stdout.columns) || 100
  }

  style(style: Style, text: string): string {
    const [begin, end] = ESCAPES[style]
    return this.#colour ? `${begin}${text}${end}` : text
  }

  /** A piece of the result's text. */
  write(text: string): void {
    this.clearProgress()
    this.#stdout.write(text)
  }

  /** Lines of the result's text. */
  print(...lines: readonly string[]): void {
    this.write(`${lines.join("\n")}\n`)
  }

  /** The result as JSON. */
  document(value: unknown): void {
    this.print(toJson(value))
  }

  /** A line that is no part of the result. */
  note(text: string): void {
    if (this.#quiet) return
    this.clearProgress()
    this.#stderr.write(`${text}\n`)
  }

  /** What is being done: one line of a terminal that the next one replaces. */
  progress(text: string): void {
    if (this.#quiet || this.#stderr.isTTY !== true) return
    this.#stderr.write(`\r${text}\x1b[K`)
    this.#progressShown = true
  }

  clearProgress(): void {
    if (this.#progressShown) this.#stderr.write("\r\x1b[K")
    this.#progressShown = false
  }
}
