export { ranges } from "../steering/ranges.ts"

// What a model writes may hold anything: control characters would move the cursor, bidirectional marks turn the line.
// oxlint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g
const WIDE =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]/u
const ZERO_WIDTH = /[\p{M}\u200b-\u200d\ufeff]/u

/** A text on one line: newlines shown as ⏎, other control characters as ·. */
export function oneLine(text: string): string {
  return text.replace(/\r?\n/g, "⏎").replace(UNPRINTABLE, "·")
}

/** A text that cannot disturb a terminal, with its newlines and tabs. */
export function harmless(text: string): string {
  return text.replace(UNPRINTABLE, (char) => (char === "\n" || char === "\t" ? char : "·"))
}

/** The first columns of a line, with … where something was cut off. */
export function cut(line: string, columns: number): string {
  let kept = ""
  let width = 0
  let room = "" // the text that still leaves a column for the …
  for (const char of line) {
    width += columnsOf(char)
    if (width > columns) return columns < 1 ? "" : `${room}…`
    kept += char
    if (width < columns) room = kept
  }
  return kept
}

/** A bar of `width` columns for values from 0 to `largest`, with a mark at `mark`. Values that are not finite fill it. */
export function bar(value: number, largest: number, width: number, mark: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, Number.isFinite(value) ? value / largest : 1)) * width * 8)
  const marked = Math.min(width - 1, Math.floor((mark / largest) * width))
  const cells = Array.from({ length: width }, (_, i) => PARTS[Math.min(8, Math.max(0, eighths - i * 8))] as string)
  if (marked >= 0) cells[marked] = "│"
  return cells.join("")
}

const PARTS = [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"]

/** Rows of text as columns; numbers to the right. */
export function table(rows: readonly (readonly string[])[], align: readonly ("left" | "right")[]): string[] {
  const widths = align.map((_, column) => Math.max(0, ...rows.map((row) => columnsOfLine(row[column] ?? ""))))
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const padding = " ".repeat((widths[column] ?? 0) - columnsOfLine(cell))
        return align[column] === "right" ? padding + cell : cell + padding
      })
      .join("  ")
      .trimEnd(),
  )
}

/** Breaks a text between words into lines of at most `width` characters. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, line]
}

/** Bytes as MB or GB (powers of 1000), as the sizes of models are given. */
export function bytes(count: number): string {
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`
  return count < 1e9 ? `${(count / 1e6).toFixed(1)} MB` : `${(count / 1e9).toFixed(2)} GB`
}

/** JSON on one line; what is unknown is null, so that every document of a kind has the same keys. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => inner ?? null)
}

/** «1 pair», «2 pairs». */
export const counted = (count: number, noun: string, plural = `${noun}s`): string => `${count} ${count === 1 ? noun : plural}`

/** At most four digits, without trailing zeros. */
export const short = (value: number): string => `${Number(value.toPrecision(4))}`

function columnsOf(char: string): number {
  if (ZERO_WIDTH.test(char)) return 0
  return WIDE.test(char) ? 2 : 1
}

function columnsOfLine(line: string): number {
  let width = 0
  for (const char of line) width += columnsOf(char)
  return width
}
