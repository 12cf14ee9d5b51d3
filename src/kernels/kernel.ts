/** How a kernel uses a storage buffer. */
export type Access = "read" | "write"

/** Workgroups in x, y and z. */
export type Grid = readonly [number, number, number]

/**
 * One compute shader as a record: everything that the engine needs to compile and dispatch it.
 *
 * Storage buffers are bound at 0, 1, … in the order of `bindings`. The parameters are a uniform struct of 32-bit
 * members at the binding after the last buffer.
 */
export interface Kernel<P = void> {
  readonly label: string
  /** WGSL with the entry point `main`. */
  readonly code: string
  /** Values of the shader's `override` constants: what is fixed for a model. */
  readonly constants: Readonly<Record<string, number>>
  readonly bindings: readonly Access[]
  /** What changes from dispatch to dispatch, as the members of the uniform struct; floats through {@link float}. */
  readonly parameters: (p: P) => readonly number[]
  readonly grid: (p: P) => Grid
}

const floats = new Float32Array(1)
const bits = new Uint32Array(floats.buffer)

/** The bits of `x` as f32, for a parameter that the shader declares as f32. */
export function float(x: number): number {
  floats[0] = x
  return bits[0] as number
}

export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b)

/**
 * Rows of activations and weights are padded with zeros to a multiple of 8 elements, so that every row starts on 16
 * bytes in every precision. Sizes of real checkpoints are multiples of 8 already.
 */
export const pad8 = (n: number): number => ceilDiv(n, 8) * 8

/** WGSL constants: sizes of arrays must be `const`, not `override`. */
export function sizes(values: Readonly<Record<string, number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `const ${name} = ${value}u;\n`)
    .join("")
}
