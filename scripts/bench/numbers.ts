export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number

/** Three digits: 0.123, 1.23, 12.3, 123, 1230. */
export function digits(x: number): string {
  if (!Number.isFinite(x)) return "?"
  return x >= 100 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x >= 1 ? x.toFixed(2) : x.toPrecision(2)
}

/** A share as a percentage; a dash where it is not known. */
export const percent = (share: number | undefined): string => (share === undefined ? "–" : `${digits(share * 100)} %`)

const PREFIXES = ["", "k", "M", "G", "T", "P"]

/** A number with the prefix that leaves it between 1 and 1000. */
export function withPrefix(x: number, unit: string): string {
  const power = x >= 1 ? Math.min(PREFIXES.length - 1, Math.floor(Math.log10(x) / 3)) : 0
  return `${digits(x / 1000 ** power)} ${PREFIXES[power]}${unit}`
}

/** GB/s, always: figures of bandwidth are compared. */
export const gigabytes = (perSecond: number): string => `${digits(perSecond / 1e9)} GB/s`

/** Columns of text, the first to the left and the others to the right; widths follow the content. */
export function columns(rows: readonly (readonly string[])[], indent = "  "): string[] {
  const widths: number[] = []
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  const pad = (cell: string, i: number): string => (i === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[i] ?? 0))
  return rows.map((row) => (indent + row.map(pad).join("  ")).trimEnd())
}
