import { parseArgs } from "node:util"
import { type Fault, InputError } from "../index.ts"
import { likely } from "../engine/nearest.ts"

/** An option of a command. Names are kept without their dashes. */
export interface OptionSpec {
  /** What stands for its value in the help; without it the option is a switch. */
  readonly value?: string
  readonly help: string
}

export type OptionTable = Readonly<Record<string, OptionSpec>>

/** The arguments without dashes that a command takes, such as files. */
export interface OperandSpec {
  /** What stands for them in the help. */
  readonly value: string
  readonly help: string
  readonly least: number
  readonly most: number
}

/** A number that an option takes. */
export interface NumberKind {
  readonly expected: string
  readonly fits: (x: number) => boolean
}

export const anyNumber: NumberKind = { expected: "a number", fits: Number.isFinite }
export const count: NumberKind = { expected: "a whole number of at least 1", fits: (x) => Number.isSafeInteger(x) && x >= 1 }
export const wholeNumber: NumberKind = {
  expected: "a whole number of at least 0",
  fits: (x) => Number.isSafeInteger(x) && x >= 0,
}
export const notNegative: NumberKind = { expected: "a number of at least 0", fits: (x) => x >= 0 && x < Infinity }
export const positive: NumberKind = { expected: "a number above 0", fits: (x) => x > 0 && x < Infinity }

/** What a command was given. Of a single option that is repeated the last one counts. */
export class Options {
  readonly #table: OptionTable
  readonly #values: ReadonlyMap<string, readonly string[]>
  /** The arguments without dashes, in their order. */
  readonly operands: readonly string[]

  constructor(table: OptionTable, values: ReadonlyMap<string, readonly string[]>, operands: readonly string[] = []) {
    this.#table = table
    this.#values = values
    this.operands = operands
  }

  has(name: string): boolean {
    return this.all(name).length > 0
  }

  /** The option's value, undefined when it was not given. */
  text(name: string): string | undefined {
    return this.all(name).at(-1)
  }

  /** Every value it was given, in their order. */
  all(name: string): readonly string[] {
    if (!(name in this.#table)) throw new TypeError(`the command does not declare --${name}`)
    return this.#values.get(name) ?? []
  }

  /** @throws InputError when the value is no such number. */
  number(name: string, kind: NumberKind = anyNumber): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    const value = text.trim() === "" ? NaN : Number(text)
    if (kind.fits(value)) return value
    throw new InputError({ where: `--${name}`, expected: kind.expected, found: quote(text) })
  }

  /** @throws InputError when the option was not given. */
  required(name: string, todo: string): string {
    const text = this.text(name)
    if (text !== undefined) return text
    throw new InputError({ where: `--${name}`, expected: "a value", found: "nothing", todo })
  }

  /** The one group of which an option was given, undefined when there is none. @throws InputError when there are several. */
  oneOf<Group extends readonly string[]>(...groups: readonly Group[]): Group | undefined {
    const given = groups.filter((group) => group.some((name) => this.has(name)))
    if (given.length <= 1) return given[0]
    const names = given.map((group) =>
      group
        .filter((name) => this.has(name))
        .map((name) => `--${name}`)
        .join(" "),
    )
    throw new InputError({ where: names[0] as string, expected: "it alone", found: `${names.slice(1).join(" and ")} too` })
  }

  /** These options, with `defaults` for some that were not given. */
  withDefaults(defaults: Readonly<Record<string, string>>): Options {
    const values = new Map(this.#values)
    for (const [name, value] of Object.entries(defaults)) if (!this.has(name)) values.set(name, [value])
    return new Options(this.#table, values, this.operands)
  }
}

/**
 * Parses the arguments after a command's name.
 * @throws InputError for an option that the command does not take, a value that is missing or superfluous, or another number
 * of operands than it takes.
 */
export function parseOptions(args: readonly string[], table: OptionTable, command: string, operands?: OperandSpec): Options {
  // Not strict: its errors do not say what was expected, and it refuses «--coefficient -0.5».
  const { tokens } = parseArgs({
    args: [...args],
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      Object.entries(table).map(([name, { value }]) => [
        name,
        { type: value === undefined ? "boolean" : "string", ...(name === "help" && { short: "h" }) } as const,
      ]),
    ),
  })
  const values = new Map<string, string[]>()
  const given: string[] = []
  for (const token of tokens) {
    if (token.kind === "positional") given.push(token.value)
    if (token.kind !== "option") continue
    const { name, rawName, value, inlineValue } = token
    const spec = Object.hasOwn(table, name) ? table[name] : undefined
    if (!spec) throw unknownOption(rawName, table, command)
    checkValue(spec, rawName, value, inlineValue)
    values.set(name, [...(values.get(name) ?? []), value ?? ""])
  }
  checkOperands(given, command, operands)
  return new Options(table, values, given)
}

/** 0-based layers as `2-5,7`: ascending, each once. @throws InputError when they are not of this form. */
export function parseLayers(text: string, where = "--layers"): number[] {
  const layers = new Set<number>()
  for (const part of text.split(",")) {
    const match = /^\s*(\d{1,4})\s*(?:-\s*(\d{1,4})\s*)?$/.exec(part)
    const first = Number(match?.[1])
    const last = Number(match?.[2] ?? match?.[1])
    if (!match || last < first) throw new InputError({ where, expected: "layers such as 2-5,7 (from 0)", found: quote(text) })
    for (let layer = first; layer <= last; layer++) layers.add(layer)
  }
  return [...layers].sort((a, b) => a - b)
}

/** Token ids as `1,2,3`. @throws InputError when they are not whole numbers. */
export function parseIds(text: string, where = "--ids"): number[] {
  const parts = text.split(",").map((part) => part.trim())
  if (parts.every((part) => /^\d{1,9}$/.test(part))) return parts.map(Number)
  throw new InputError({ where, expected: "token ids such as 1,2,3", found: quote(text) })
}

/** A text as messages show it: on one line, cut after 60 characters. */
export function quote(text: string): string {
  const line = text.replace(/\s+/g, " ")
  return `«${line.length > 60 ? `${line.slice(0, 59)}…` : line}»`
}

/** What to do about a name that is none of `names`, where one of them is near. */
export function didYouMean(name: string, names: readonly string[]): Pick<Fault, "todo"> {
  const meant = likely(name, names)
  return meant === undefined ? {} : { todo: `did you mean ${meant}?` }
}

function checkValue(spec: OptionSpec, rawName: string, value: string | undefined, inline: boolean | undefined): void {
  if (spec.value === undefined) {
    if (value === undefined) return
    throw new InputError({ where: rawName, expected: "no value, it is a switch", found: quote(value) })
  }
  if (value === undefined) throw new InputError({ where: rawName, expected: `a value ${spec.value}`, found: "nothing" })
  const looksLikeOption = !inline && /^-(-|[a-z]|$)/i.test(value)
  if (!looksLikeOption) return
  const todo = `write ${rawName}=${value} if that is the value`
  throw new InputError({ where: rawName, expected: `a value ${spec.value}`, found: `the option ${value}`, todo })
}

function unknownOption(rawName: string, table: OptionTable, command: string): InputError {
  const meant = likely(rawName.replace(/^-+/, ""), Object.keys(table))
  const todo = `${meant === undefined ? "" : `did you mean --${meant}? `}«redline ${command} --help» lists all`
  return new InputError({ where: command, expected: "an option that it takes", found: rawName, todo })
}

function checkOperands(given: readonly string[], command: string, spec: OperandSpec | undefined): void {
  const { least, most } = spec ?? { least: 0, most: 0 }
  if (given.length >= least && given.length <= most) return
  const expected = spec ? `${spec.value}, ${spec.help}` : "options alone"
  const found =
    given.length === 0
      ? "none"
      : given.length > most
        ? quote(given[most] as string) + (spec ? " too" : "")
        : quote(given.join(" "))
  throw new InputError({ where: command, expected, found, todo: `«redline ${command} --help» says more` })
}
