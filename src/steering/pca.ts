import { spread } from "./spread.ts"
import { dot, norm } from "./numbers.ts"

export interface PrincipalOptions {
  /** Whether the rows' mean is taken off first. */
  readonly centred: boolean
}

// The angle to the true direction is at most the residual over the gap to the second eigenvalue (Davis and Kahan), so
// that this finds it to a cosine of 1 - 1e-6 where the two differ by a millionth.
const RESIDUAL = 1e-9
/** Eigenvalues below this share of what rounding alone can leave are none. */
const ROUNDING = 1e-12

/**
 * The unit vector [width] along which `rows` (each [width]) are longest: the top right-singular vector of their matrix,
 * or its first principal component when it is centred. Float64 throughout. The sign is arbitrary: see {@link orient}.
 *
 * Lanczos' method with full reorthogonalisation on XᵀX, which is never formed: a step costs 4 x rows x width operations
 * and a vector [width] of memory, and it ends exactly after as many steps as the rows have dimensions.
 *
 * @returns undefined when the rows do not vary at all
 */
export function principalDirection(rows: readonly Float32Array[], { centred }: PrincipalOptions): Float64Array | undefined {
  const width = rows[0]?.length ?? 0
  const mean = centred ? meanRow(rows) : new Float64Array(width)
  const total = rows.reduce((sum, row) => sum + dot(row, row), 0)
  const limit = Math.min(rows.length, width)

  // It starts inside the rows' span, so that steps are not spent on getting there.
  let next = combine(
    rows,
    mean,
    Float64Array.from(rows, (_, i) => spread(i) - 0.5),
  )
  let length = norm(next)
  if (length <= ROUNDING * Math.sqrt(total)) return undefined
  const basis: Float64Array[] = []
  const diagonal: number[] = []
  const beside: number[] = []
  for (;;) {
    scale(next, 1 / length)
    basis.push(next)
    const last = next
    next = combine(rows, mean, project(rows, mean, last))
    diagonal.push(dot(next, last))
    // Twice is enough (Parlett, The Symmetric Eigenvalue Problem, 6.9).
    for (let pass = 0; pass < 2; pass++) for (const other of basis) addScaled(next, other, -dot(next, other))
    length = norm(next)
    const done = basis.length === limit || length <= ROUNDING * total
    // The small problem costs more with every step, so it is solved at every eighth.
    if (done || basis.length % 8 === 0) {
      const { value, vector } = topOfTridiagonal(diagonal, beside)
      if (value <= ROUNDING * total) return undefined
      if (done || length * Math.abs(vector.at(-1) as number) <= RESIDUAL * value) return unit(basis, vector)
    }
    beside.push(length)
  }
}

/** Turns `direction` round, in place, when more rows lie against it than along it, as differences of pairs shall lie. */
export function orient(direction: Float64Array, rows: readonly Float32Array[]): Float64Array {
  const against = rows.reduce((count, row) => count - Math.sign(dot(row, direction)), 0)
  return against > 0 ? scale(direction, -1) : direction
}

/** The mean [width] of rows. */
function meanRow(rows: readonly Float32Array[]): Float64Array {
  const sum = new Float64Array(rows[0]?.length ?? 0)
  for (const row of rows) addScaled(sum, row, 1)
  return scale(sum, 1 / rows.length)
}

/** Each row, less the mean, times x. */
function project(rows: readonly Float32Array[], mean: Float64Array, x: Float64Array): Float64Array {
  const shift = dot(mean, x)
  return Float64Array.from(rows, (row) => dot(row, x) - shift)
}

/** The sum of the rows, each less the mean and times its weight. */
function combine(rows: readonly Float32Array[], mean: Float64Array, weights: Float64Array): Float64Array {
  const sum = new Float64Array(mean.length)
  for (const [i, row] of rows.entries()) addScaled(sum, row, weights[i] as number)
  return addScaled(sum, mean, -weights.reduce((a, b) => a + b, 0))
}

/** The largest eigenvalue, and its unit eigenvector, of the symmetric matrix with this diagonal and these numbers beside it. */
function topOfTridiagonal(diagonal: readonly number[], beside: readonly number[]): { value: number; vector: Float64Array } {
  const size = diagonal.length
  const off = (i: number): number => (i < 0 ? 0 : (beside[i] ?? 0))
  /** The pivots of xI - T: all positive exactly where x lies above every eigenvalue. */
  const pivots = (x: number): number[] | undefined => {
    const all: number[] = []
    for (let i = 0; i < size; i++) {
      const pivot = x - (diagonal[i] as number) - (i === 0 ? 0 : off(i - 1) ** 2 / (all[i - 1] as number))
      if (!(pivot > 0)) return undefined
      all.push(pivot)
    }
    return all
  }
  const reach = diagonal.map((d, i) => d + Math.abs(off(i)) + Math.abs(off(i - 1)))
  let below = Math.max(...diagonal)
  let above = Math.max(...reach) * (1 + 1e-14) + Number.MIN_VALUE
  for (let middle = (below + above) / 2; middle > below && middle < above; middle = (below + above) / 2) {
    if (pivots(middle)) above = middle
    else below = middle
  }

  // Inverse iteration just above the eigenvalue, where elimination needs no row exchanges.
  const pivot = pivots(above) as number[]
  const vector = Float64Array.from({ length: size }, (_, i) => 1 + spread(i))
  for (let pass = 0; pass < 4; pass++) {
    for (let i = 1; i < size; i++) vector[i]! += (off(i - 1) * (vector[i - 1] as number)) / (pivot[i - 1] as number)
    for (let i = size - 1; i >= 0; i--) {
      const right = i === size - 1 ? 0 : off(i) * (vector[i + 1] as number)
      vector[i] = ((vector[i] as number) + right) / (pivot[i] as number)
    }
    scale(vector, 1 / norm(vector))
  }
  return { value: above, vector }
}

function unit(basis: readonly Float64Array[], weights: Float64Array): Float64Array {
  const sum = new Float64Array(basis[0]?.length ?? 0)
  for (const [i, vector] of basis.entries()) addScaled(sum, vector, weights[i] as number)
  return scale(sum, 1 / norm(sum))
}

function addScaled(sum: Float64Array, x: Float32Array | Float64Array, factor: number): Float64Array {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + factor * (x[i] as number)
  return sum
}

function scale(x: Float64Array, factor: number): Float64Array {
  for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) * factor
  return x
}
