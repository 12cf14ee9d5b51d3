import { expect } from "vitest"
import { pad8 } from "../../src/kernels/kernel.ts"
import type { WeightType } from "../../src/kernels/weights.ts"

/** Numbers in [-1, 1), the same for the same seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let x = Math.imul(state ^ (state >>> 15), state | 1)
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 31 - 1
  }
}

const word = new DataView(new ArrayBuffer(4))

function bf16Bits(x: number): number {
  word.setFloat32(0, x)
  const bits = word.getUint32(0)
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff // to nearest, ties to even
}

function f16Bits(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0
  const magnitude = Math.abs(x)
  if (magnitude === 0) return sign
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)))
  const steps = roundTiesToEven(magnitude * 2 ** (10 - exponent))
  // A carry out of the significand rightly moves into the exponent: the encodings are consecutive.
  return sign | (((exponent + 14) << 10) + steps)
}

function roundTiesToEven(x: number): number {
  const floor = Math.floor(x)
  const rest = x - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}

/** `x` as the nearest value of `type`. For f16, |x| stays below 65504. */
export function roundTo(type: WeightType, x: number): number {
  if (type === "f32") return Math.fround(x)
  if (type === "bf16") {
    word.setUint32(0, bf16Bits(x) << 16)
    return word.getFloat32(0)
  }
  const bits = f16Bits(x)
  const exponent = (bits >>> 10) & 31
  const significand = (bits & 1023) + (exponent === 0 ? 0 : 1024)
  return (bits & 0x8000 ? -1 : 1) * significand * 2 ** (Math.max(1, exponent) - 25)
}

/**
 * A weight [rows, columns] as the GPU keeps it: rounded to `type`, both sides padded with zeros to multiples of 8, 16-bit types
 * two to a word.
 */
export function packWeights(
  values: ArrayLike<number> | readonly (readonly number[])[],
  rows: number,
  columns: number,
  type: WeightType,
): Uint32Array<ArrayBuffer> {
  const stride = pad8(columns)
  const bytes = new DataView(new ArrayBuffer(pad8(rows) * stride * (type === "f32" ? 4 : 2)))
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const first = values[row]
      const x = (typeof first === "object" ? first[column] : (values as ArrayLike<number>)[row * columns + column]) as number
      const index = row * stride + column
      if (type === "f32") bytes.setFloat32(index * 4, x, true)
      else bytes.setUint16(index * 2, type === "bf16" ? bf16Bits(x) : f16Bits(x), true)
    }
  }
  return new Uint32Array(bytes.buffer)
}

/** f16 numbers, two in each u32. */
export function unpackHalves(words: Uint32Array): number[] {
  const value = (bits: number): number => {
    const exponent = (bits >>> 10) & 31
    const sign = bits & 0x8000 ? -1 : 1
    if (exponent === 31) return (bits & 1023) === 0 ? sign * Infinity : NaN
    return sign * ((bits & 1023) + (exponent === 0 ? 0 : 1024)) * 2 ** (Math.max(1, exponent) - 25)
  }
  return [...words].flatMap((pair) => [value(pair & 0xffff), value(pair >>> 16)])
}

/** What nine of ten times do not exceed: a machine that others use too may hold up the tenth. */
export const nineOfTen = (times: readonly number[]): number =>
  times.toSorted((a, b) => a - b)[Math.ceil(times.length * 0.9) - 1] as number

/** How far a result may be from its reference: absolute + relative * |reference|. */
export interface Tolerance {
  readonly absolute: number
  readonly relative: number
}

/** Expects every element within the tolerance, and shows the worst when one is not (NaN is worst of all). */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: Tolerance, what = "result"): void {
  expect(actual.length, `${what}: length`).toBe(expected.length)
  let worst = { index: -1, ratio: 0, actual: 0, expected: 0 }
  for (let index = 0; index < expected.length; index++) {
    const a = actual[index] as number
    const e = expected[index] as number
    const off = Math.abs(a - e) / (tolerance.absolute + tolerance.relative * Math.abs(e))
    const ratio = Number.isNaN(off) ? Infinity : off
    if (ratio > worst.ratio) worst = { index, ratio, actual: a, expected: e }
  }
  const shown = `${what}: worst at [${worst.index}]: ${worst.actual}, expected ${worst.expected}`
  expect(worst.ratio, `${shown}, ${worst.ratio.toPrecision(3)} x the tolerance`).toBeLessThanOrEqual(1)
}
