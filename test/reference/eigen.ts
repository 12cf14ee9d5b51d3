/** XᵀX in float64, of rows [width] less their mean where asked for. */
export function covariance(rows: readonly ArrayLike<number>[], centred: boolean): number[][] {
  const mean = Array.from(rows[0]!, (_, i) => (centred ? rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length : 0))
  const moved = rows.map((row) => mean.map((m, i) => row[i]! - m))
  return [...mean.keys()].map((i) => [...mean.keys()].map((j) => moved.reduce((sum, row) => sum + row[i]! * row[j]!, 0)))
}

/** The unit eigenvector of a symmetric matrix's largest eigenvalue, by Jacobi's rotations, slow and sure. */
export function topEigenvector(matrix: readonly (readonly number[])[]): Float64Array {
  const a = matrix.map((row) => [...row])
  const size = a.length
  const vectors = a.map((row, i) => Float64Array.from(row, (_, j) => (i === j ? 1 : 0)))
  for (let sweep = 0; sweep < 60; sweep++) {
    let rest = 0
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) {
        if (Math.abs(a[p]![q]!) <= 1e-17 * Math.sqrt(Math.abs(a[p]![p]! * a[q]![q]!))) continue
        rest++
        const theta = (a[q]![q]! - a[p]![p]!) / (2 * a[p]![q]!)
        const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1))
        const c = 1 / Math.hypot(t, 1)
        const s = t * c
        for (let k = 0; k < size; k++) [a[k]![p], a[k]![q]] = rotated(a[k]![p]!, a[k]![q]!, c, s)
        for (let k = 0; k < size; k++) [a[p]![k], a[q]![k]] = rotated(a[p]![k]!, a[q]![k]!, c, s)
        for (let k = 0; k < size; k++) [vectors[p]![k], vectors[q]![k]] = rotated(vectors[p]![k]!, vectors[q]![k]!, c, s)
      }
    }
    if (rest === 0) break
  }
  const values = a.map((row, i) => row[i]!)
  return vectors[values.indexOf(Math.max(...values))]!
}

function rotated(x: number, y: number, c: number, s: number): [number, number] {
  return [c * x - s * y, s * x + c * y]
}
