/** The `count` candidates with the fewest edits (insert, delete, replace a character) between them and `wanted`, best first. */
export function nearest(wanted: string, candidates: readonly string[], count = 1): string[] {
  const ranked = candidates.map((text) => ({ text, edits: editDistance(wanted, text) }))
  return ranked
    .sort((a, b) => a.edits - b.edits)
    .slice(0, count)
    .map(({ text }) => text)
}

/**
 * The candidate that `wanted` may be a slip for, undefined where none is near: at most a third of the longer one's characters
 * edited, or one at least; or one of the two begins the other, with three characters at least.
 */
export function likely(wanted: string, candidates: readonly string[]): string | undefined {
  const near = candidates.filter((text) => {
    const [short = "", long = ""] = [wanted, text].sort((a, b) => a.length - b.length)
    const begins = short.length >= 3 && long.startsWith(short)
    return begins || editDistance(wanted, text) <= Math.max(1, Math.floor(long.length / 3))
  })
  return nearest(wanted, near)[0]
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < b.length; j++) {
      const replaced = (row[j] as number) + (a[i] === b[j] ? 0 : 1)
      next.push(Math.min(replaced, (row[j + 1] as number) + 1, (next[j] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
