const GOLDEN = (Math.sqrt(5) - 1) / 2

/**
 * The i-th of numbers in [0, 1) that spread evenly at every length and at every stride (Weyl's sequence of the golden
 * ratio): arbitrary, yet the same on every machine.
 */
export function spread(i: number): number {
  return ((i + 1) * GOLDEN) % 1
}

/**
 * Deals 0 to `count` - 1 into two halves, the first one larger by one when `count` is odd. Whatever recurs at regular
 * distances in the order, such as the personas of a data set, comes evenly into both. Ascending in each half.
 */
export function halves(count: number): [number[], number[]] {
  const dealt = Array.from({ length: count }, (_, i) => i).sort((a, b) => spread(a) - spread(b))
  const middle = Math.ceil(count / 2)
  const ascending = (part: number[]): number[] => part.sort((a, b) => a - b)
  return [ascending(dealt.slice(0, middle)), ascending(dealt.slice(middle))]
}
