/** 2-5,7 for 2, 3, 4, 5, 7. */
export function ranges(values: readonly number[]): string {
  const runs: [number, number][] = []
  for (const value of values) {
    const last = runs.at(-1)
    if (last && value === last[1] + 1) last[1] = value
    else runs.push([value, value])
  }
  return runs.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(",")
}
