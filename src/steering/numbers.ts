/** a · b, in four running sums, so that the additions need not wait for one another. */
export function dot(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0]
  const whole = a.length - (a.length % 4)
  for (let i = 0; i < whole; i += 4) {
    s0 += (a[i] as number) * (b[i] as number)
    s1 += (a[i + 1] as number) * (b[i + 1] as number)
    s2 += (a[i + 2] as number) * (b[i + 2] as number)
    s3 += (a[i + 3] as number) * (b[i + 3] as number)
  }
  for (let i = whole; i < a.length; i++) s0 += (a[i] as number) * (b[i] as number)
  return s0 + s1 + (s2 + s3)
}

export function norm(a: Float32Array | Float64Array): number {
  return Math.sqrt(dot(a, a))
}

/** The cosine of the angle between two vectors; 0 where one of them is zero. */
export function cosine(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  return dot(a, b) / (norm(a) * norm(b) || Infinity)
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] as number
  return sum / values.length
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  return ((sorted[Math.ceil(middle) - 1] as number) + (sorted[Math.floor(middle)] as number)) / 2
}
