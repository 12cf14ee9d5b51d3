/** The `count` candidates with the fewest edits (insert, delete, replace a character) between them and `wanted`, best first. */
export function nearest(wanted: string, candidates: readonly string[], count = 1): string[] {
  const ranked = candidates.map((text) => ({ text, edits: editDistance(wanted, text) }))
  return ranked
    .sort((a, b) => a.edits - b.edits)
    .slice(0, count)
    .map(({ text }) => text)
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
