/** Numbers with a shape, the last axis running fastest. */
export interface Tensor {
  readonly shape: readonly number[]
  readonly data: Float32Array
}
