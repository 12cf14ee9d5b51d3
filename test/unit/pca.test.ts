import { describe, expect, test } from "vitest"
import { cosine, dot, norm } from "../../src/steering/numbers.ts"
import { orient, principalDirection } from "../../src/steering/pca.ts"
import { random } from "../helpers/numbers.ts"
import { covariance, topEigenvector } from "../reference/eigen.ts"

interface Case {
  readonly rows: number
  readonly width: number
  /** Length of each direction's share in the rows; those that are left out are 0. */
  readonly spectrum: readonly number[]
  /** As many times its largest share is added to all rows alike. */
  readonly common: number
  readonly noise: number
}

const few = { rows: 7, width: 40, spectrum: [3, 2, 1], common: 0, noise: 0.1 }
const CASES: readonly [string, Case][] = [
  ["fewer rows than columns", few],
  ["more rows than columns", { ...few, rows: 90, width: 12 }],
  ["as many as columns", { ...few, rows: 24, width: 24 }],
  ["a large common part", { ...few, rows: 30, common: 20 }],
  ["no noise, so that the rows have rank 2", { ...few, spectrum: [2, 1], noise: 0 }],
  ["noise alone", { ...few, rows: 50, width: 60, spectrum: [], noise: 1 }],
  ["the two largest shares a hundred-thousandth apart", { rows: 60, width: 48, spectrum: [1, 0.99999], common: 0, noise: 0 }],
  [
    "the two largest shares a thousandth apart in noise",
    { rows: 60, width: 48, spectrum: [1, 0.999, 0.9], common: 0, noise: 1e-3 },
  ],
  ["tiny numbers", { ...few, spectrum: [3e-12, 2e-12], noise: 1e-13 }],
  ["large numbers", { ...few, spectrum: [3e9, 2e9], noise: 1e8 }],
  ["two rows", { ...few, rows: 2 }],
  ["one column", { ...few, width: 1, spectrum: [1] }],
]

/** Rows along orthonormal directions, each with its share: what singular values the matrix has is known from the spectrum. */
function makeRows({ rows, width, spectrum, common, noise }: Case, seed: number): Float32Array[] {
  const next = random(seed)
  const directions = orthonormal(spectrum.length, width, next)
  const weights = orthonormal(spectrum.length, rows, next)
  const shift = Float64Array.from({ length: width }, () => common * next() * (spectrum[0] ?? 1))
  return Array.from({ length: rows }, (_, r) =>
    Float32Array.from(shift, (base, i) => {
      const parts = spectrum.map((size, k) => size * Math.sqrt(rows) * weights[k]![r]! * directions[k]![i]!)
      return parts.reduce((a, b) => a + b, base + noise * next())
    }),
  )
}

function orthonormal(count: number, size: number, next: () => number): Float64Array[] {
  const made: Float64Array[] = []
  while (made.length < Math.min(count, size)) {
    const one = Float64Array.from({ length: size }, next)
    for (const other of [...made, ...made]) {
      const along = dot(one, other)
      for (let i = 0; i < size; i++) one[i]! -= along * other[i]!
    }
    const length = norm(one)
    made.push(one.map((x) => x / length))
  }
  while (made.length < count) made.push(new Float64Array(size))
  return made
}

describe.each([{ centred: false }, { centred: true }])("the principal direction, %o", ({ centred }) => {
  test.each(CASES)("%s", (_, options) => {
    const rows = makeRows(options, 11)
    const found = principalDirection(rows, { centred })!
    expect(norm(found)).toBeCloseTo(1, 12)
    expect(Math.abs(cosine(found, topEigenvector(covariance(rows, centred))))).toBeGreaterThanOrEqual(0.99999)
  })

  test("is the same every time", () => {
    const rows = makeRows(few, 5)
    expect(principalDirection(rows, { centred })).toEqual(principalDirection(rows, { centred }))
  })
})

describe("rows that do not vary", () => {
  const row = Float32Array.of(0.1, -0.7, 3)
  test.each([
    ["zeros", [new Float32Array(3), new Float32Array(3)], false],
    ["zeros, centred", [new Float32Array(3), new Float32Array(3)], true],
    ["equal rows, centred", [row, row, row], true],
    ["one row, centred", [row], true],
    ["no rows", [], false],
  ])("%s", (_, rows, centred) => {
    expect(principalDirection(rows, { centred })).toBeUndefined()
  })

  test("equal rows have a direction as long as they are not centred", () => {
    const found = principalDirection([row, row], { centred: false })!
    expect(Math.abs(cosine(found, row))).toBeCloseTo(1, 12)
  })
})

test("a wide matrix of many rows takes a fraction of a second", () => {
  const rows = makeRows({ rows: 400, width: 1000, spectrum: [2, 1.9], common: 1, noise: 1 }, 3)
  const start = performance.now()
  const found = principalDirection(rows, { centred: true })!
  expect(performance.now() - start).toBeLessThan(5000)
  // An eigenvector is what the matrix only stretches.
  const image = new Float64Array(1000)
  const mean = rows.reduce((sum, row) => sum.map((x, i) => x + row[i]! / rows.length), new Float64Array(1000))
  for (const row of rows) {
    const along = row.reduce((sum, x, i) => sum + (x - mean[i]!) * found[i]!, 0)
    for (let i = 0; i < image.length; i++) image[i]! += along * (row[i]! - mean[i]!)
  }
  expect(cosine(image, found)).toBeGreaterThan(1 - 1e-9)
})

describe("the sign rule turns a direction that more rows lie against than along", () => {
  const up = Float32Array.of(1, 0)
  const down = Float32Array.of(-1, 0)
  const across = Float32Array.of(0, 1)
  test.each([
    ["more along", [up, up, down], 1],
    ["more against", [up, down, down], -1],
    ["more against, whatever their length", [Float32Array.of(100, 0), down, down], -1],
    ["as many", [up, down], 1],
    ["one that is neither", [across, down], -1],
    ["none that is either", [across], 1],
  ])("%s", (_, rows, sign) => {
    expect([...orient(Float64Array.of(1, 0), rows)].map((x) => x + 0)).toEqual([sign, 0])
  })
})
