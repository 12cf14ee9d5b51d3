import { pad8 } from "../kernels/kernel.ts"
import { canGate, canNorm, matmul, type MatmulEnds, type MatmulParameters, type MatmulVariant } from "../kernels/matmul.ts"
import { residual } from "../kernels/residual.ts"
import { rmsNorm } from "../kernels/rms-norm.ts"
import { chooseMatmul, type KernelShapes } from "../kernels/shapes.ts"
import { siluGate } from "../kernels/silu-gate.ts"
import type { LlamaConfig } from "./config.ts"
import type { GpuBuffer } from "./device.ts"
import type { MatrixPath } from "./matrix-path.ts"
import { Once } from "./once.ts"
import type { Recorder } from "./recorder.ts"
import type { Matrix } from "./weights.ts"

/** A residual stream whose norm is multiplied: its norm's weight, and room for the norm, [tokens, pad8(hidden)], where it is made first. */
export interface Normed {
  readonly residual: GpuBuffer
  readonly weight: GpuBuffer
  readonly room: GpuBuffer
}

/** Vectors to add to a product's outputs, as the kernels read them. */
export interface AddedVectors {
  readonly rows: GpuBuffer
  readonly positions: GpuBuffer
  readonly vectors: GpuBuffer
  readonly operations: GpuBuffer
  readonly count: number
}

/**
 * The matrix products of a model, with what comes right before and after them: in one kernel where the adapter's variant takes it,
 * in several where not. Products of many tokens go by the matrix path where there is one.
 */
export class Products {
  readonly norm: ReturnType<typeof rmsNorm>
  readonly residual: ReturnType<typeof residual>
  readonly siluGate: ReturnType<typeof siluGate>
  readonly #epsilon: number
  readonly #shapes: KernelShapes
  readonly #matrix: MatrixPath | undefined
  readonly #made = new Once()

  constructor({ hiddenSize, intermediateSize, rmsNormEps }: LlamaConfig, shapes: KernelShapes, matrix?: MatrixPath) {
    this.norm = rmsNorm({ width: hiddenSize, epsilon: rmsNormEps })
    this.residual = residual()
    this.siluGate = siluGate({ width: intermediateSize })
    this.#epsilon = rmsNormEps
    this.#shapes = shapes
    this.#matrix = matrix
  }

  /** out [tokens, pad8(matrix.rows)] = x [tokens, pad8(matrix.columns)] times the matrix, transposed. */
  multiply(recorder: Recorder, x: GpuBuffer, matrix: Matrix, out: GpuBuffer, tokens: number): void {
    const byMatrix = this.#byMatrix(matrix, tokens)
    if (byMatrix) return byMatrix.multiply(recorder, { kind: "plain", x }, matrix, out, { tokens })
    this.#multiply(recorder, [x, out], matrix, { tokens })
  }

  /** out = the root-mean-square norm of the residual stream, times the matrix. */
  multiplyNormed(recorder: Recorder, normed: Normed, matrix: Matrix, out: GpuBuffer, tokens: number): void {
    const { residual: x, weight, room } = normed
    const byMatrix = this.#byMatrix(matrix, tokens)
    if (byMatrix) return byMatrix.multiply(recorder, { kind: "norm", x, weight, epsilon: this.#epsilon }, matrix, out, { tokens })
    if (canNorm(this.#variant(tokens))) return this.#multiply(recorder, [x, out, weight], matrix, { tokens }, this.#normed)
    recorder.run(this.norm, [x, weight, room], { tokens })
    this.#multiply(recorder, [room, out], matrix, { tokens })
  }

  /** gated [tokens, pad8(matrix.rows / 2)] = silu(gate) * up of the norm times the matrix; `room` is as large as all of its rows. */
  multiplyGated(
    recorder: Recorder,
    normed: Normed,
    matrix: Matrix,
    { room, gated }: { readonly room: GpuBuffer; readonly gated: GpuBuffer },
    tokens: number,
  ): void {
    const variant = this.#variant(tokens)
    if (this.#byMatrix(matrix, tokens) || matrix.chunks.length > 1 || !canGate(variant)) {
      this.multiplyNormed(recorder, normed, matrix, room, tokens)
      return recorder.run(this.siluGate, [room, gated], { tokens })
    }
    if (canNorm(variant)) {
      const ends = { ...this.#normed, gated: true }
      return this.#multiply(recorder, [normed.residual, gated, normed.weight], matrix, { tokens }, ends)
    }
    recorder.run(this.norm, [normed.residual, normed.weight, normed.room], { tokens })
    this.#multiply(recorder, [normed.room, gated], matrix, { tokens }, { gated: true })
  }

  /** into [tokens, pad8(matrix.rows)] += x times the matrix, transposed. */
  multiplyAdd(recorder: Recorder, x: GpuBuffer, matrix: Matrix, into: GpuBuffer, tokens: number): void {
    const byMatrix = this.#byMatrix(matrix, tokens)
    if (byMatrix) return byMatrix.multiply(recorder, { kind: "plain", x }, matrix, into, { tokens, adds: true })
    this.#multiply(recorder, [x, into], matrix, { tokens, adds: true })
  }

  /** into += silu(gate) * up times the matrix; only where {@link gatesInputs}. */
  multiplyAddGated(recorder: Recorder, gateUp: GpuBuffer, matrix: Matrix, into: GpuBuffer, tokens: number): void {
    this.#matrix?.multiply(recorder, { kind: "gate", gateUp }, matrix, into, { tokens, adds: true })
  }

  /** Whether a product with this matrix gates its inputs on the way: then they need not be gated before. */
  gatesInputs(matrix: Matrix, tokens: number): boolean {
    return this.#byMatrix(matrix, tokens) !== undefined
  }

  /** into += x times the matrix, and then vectors; only where {@link addsVectors}. */
  multiplyAddSteered(
    recorder: Recorder,
    x: GpuBuffer,
    matrix: Matrix,
    into: GpuBuffer,
    added: AddedVectors,
    tokens: number,
  ): void {
    const { rows, positions, vectors, operations, count } = added
    const buffers = [x, into, rows, positions, vectors, operations]
    this.#multiply(recorder, buffers, matrix, { tokens, adds: true, count }, { steered: true })
  }

  /** Whether a product with this matrix can also add vectors to its outputs. */
  addsVectors(matrix: Matrix, tokens: number): boolean {
    return this.#byMatrix(matrix, tokens) === undefined
  }

  get #normed(): MatmulEnds {
    return { normed: { epsilon: this.#epsilon } }
  }

  /** The matrix path, where a product is its work. */
  #byMatrix(matrix: Matrix, tokens: number): MatrixPath | undefined {
    return this.#matrix?.takes(matrix, tokens) === true ? this.#matrix : undefined
  }

  #variant(tokens: number): MatmulVariant {
    return chooseMatmul(this.#shapes, tokens)
  }

  /** Buffers: x, out, and what the ends bind. */
  #multiply(
    recorder: Recorder,
    [x, out, ...others]: readonly GpuBuffer[],
    { rows: allRows, columns, chunks }: Matrix,
    p: Omit<MatmulParameters, "outStride" | "outOffset">,
    ends: MatmulEnds = {},
  ): void {
    const variant = this.#variant(p.tokens)
    const outStride = pad8(ends.gated ? allRows / 2 : allRows)
    for (const { type, buffer, firstRow, rows, scale = 1 } of chunks) {
      const key = [rows, columns, type, scale, ...Object.values(variant), ...Object.keys(ends)].join(" ")
      const kernel = this.#made.get(key, () => matmul({ rows, columns, type, variant, scale, ...ends }))
      recorder.run(kernel, [x as GpuBuffer, buffer, out as GpuBuffer, ...others], { ...p, outStride, outOffset: firstRow })
    }
  }
}
