import { addSplits } from "../kernels/add-splits.ts"
import { halfRows, type HalfRowsParameters, type Parts, type RowsInput } from "../kernels/half-rows.ts"
import type { Kernel } from "../kernels/kernel.ts"
import { pad8 } from "../kernels/kernel.ts"
import type { MatmulParameters } from "../kernels/matmul.ts"
import {
  fitTile,
  matmulMatrix,
  type MatmulMatrixShape,
  type MatrixTile,
  type MatrixUnit,
  splitsOf,
  tileLanes,
} from "../kernels/matmul-matrix.ts"
import { chooseMatrixTile, chooseSplits, MATRIX_MIN_TOKENS, MATRIX_SPLIT_TOKENS, MATRIX_STEPS } from "../kernels/shapes.ts"
import type { Device, GpuBuffer } from "./device.ts"
import { Once } from "./once.ts"
import type { Recorder } from "./recorder.ts"
import type { Chunk, Matrix } from "./weights.ts"

/** A weight matrix's size: its rows and columns. */
export type MatrixSize = Pick<Matrix, "rows" | "columns">

/** What is multiplied by a matrix, of so many columns; what it is computed from in the same go. */
export type MatrixInput =
  /** x f32 [tokens, pad8(columns)] */
  | { readonly kind: "plain"; readonly x: GpuBuffer }
  /** The root-mean-square norm of x f32 [tokens, pad8(columns)], with its weight f32 [pad8(columns)]. */
  | { readonly kind: "norm"; readonly x: GpuBuffer; readonly weight: GpuBuffer; readonly epsilon: number }
  /** silu(gate) * up, side by side f32 [tokens, pad8(2 columns)]. */
  | { readonly kind: "gate"; readonly gateUp: GpuBuffer }

/** Bytes of the buffers that the matrix path works in, for passes of at most `tokens` tokens. */
export function matrixScratch(
  sizes: readonly MatrixSize[],
  parts: Parts,
  tokens: number,
  maxBinding: number,
): { readonly halves: number; readonly undo: number; readonly partial: number } {
  const widest = Math.max(0, ...sizes.map(({ columns }) => pad8(columns)))
  const splitTokens = Math.min(tokens, MATRIX_SPLIT_TOKENS)
  const partials = sizes.map((size) => {
    const splits = splitsFor(size, maxBinding)
    return splits === 1 ? 0 : splits * splitTokens * size.rows * 4
  })
  return { halves: parts * tokens * widest * 2, undo: tokens * 4, partial: Math.max(0, ...partials) }
}

/** What the conversion of an input binds. */
function inputBuffers(input: MatrixInput): GpuBuffer[] {
  if (input.kind === "gate") return [input.gateUp]
  return input.kind === "norm" ? [input.x, input.weight] : [input.x]
}

/** A weight's splits, none where their parts would not fit a binding. */
function splitsFor({ rows, columns }: MatrixSize, maxBinding: number): number {
  const splits = chooseSplits(rows, columns)
  return splits * MATRIX_SPLIT_TOKENS * rows * 4 > maxBinding ? 1 : splits
}

/** What the matrix path cannot do on a device of these limits; undefined where it can. */
export function matrixObstacle({ gpu }: Device, unit: MatrixUnit): string | undefined {
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupStorageSize } = gpu.limits
  const lanes = Math.max(...MATRIX_STEPS.map(({ tile }) => tileLanes(tile, unit)))
  if (lanes > maxComputeInvocationsPerWorkgroup) {
    return `an adapter of ${maxComputeInvocationsPerWorkgroup} lanes to a workgroup, where its subgroups of ${unit.lanes} need ${lanes}`
  }
  const fits = MATRIX_STEPS.every(({ tile }) => fitTile(tile, unit, 2, maxComputeWorkgroupStorageSize))
  return fits ? undefined : `an adapter of ${maxComputeWorkgroupStorageSize} bytes of workgroup memory, which hold no tile`
}

/**
 * Matrix products by an adapter's matrix units: inputs as f16, sums in f32. It keeps the buffers that they need; what two products
 * leave in them never meets, since the device runs all dispatches in order.
 */
export class MatrixPath implements Disposable {
  readonly unit: MatrixUnit
  readonly parts: Parts
  readonly #halves: GpuBuffer
  readonly #undo: GpuBuffer
  readonly #partial: GpuBuffer
  readonly #maxBinding: number
  readonly #shared: number
  readonly #made = new Once()

  /** For products of at most `tokens` tokens with weights of these sizes. */
  constructor(device: Device, unit: MatrixUnit, parts: Parts, sizes: readonly MatrixSize[], tokens: number) {
    this.unit = unit
    this.parts = parts
    this.#maxBinding = device.maxBinding
    this.#shared = device.gpu.limits.maxComputeWorkgroupStorageSize
    const bytes = matrixScratch(sizes, parts, tokens, device.maxBinding)
    this.#halves = device.createBuffer("f16 activations", bytes.halves)
    this.#undo = device.createBuffer("scales of activations", bytes.undo)
    this.#partial = device.createBuffer("parts of products", bytes.partial)
  }

  /** Whether a product is its work: the others are few tokens, where memory is the limit. */
  takes(matrix: Matrix, tokens: number): boolean {
    return tokens >= MATRIX_MIN_TOKENS && matrix.chunks.every(({ scale }) => scale !== undefined)
  }

  /**
   * out [tokens, pad8(matrix.rows)] = the input [tokens, pad8(matrix.columns)] times the matrix, transposed; += with `adds`. The
   * input may be computed from `out`. One dispatch converts it; each of the matrix's chunks takes another, or two where it is
   * split.
   */
  multiply(
    recorder: Recorder,
    input: MatrixInput,
    matrix: Matrix,
    out: GpuBuffer,
    { tokens, adds = false }: { readonly tokens: number; readonly adds?: boolean },
  ): void {
    recorder.run(this.#converter(input, matrix.columns), [...inputBuffers(input), this.#halves, this.#undo], { tokens })
    for (const chunk of matrix.chunks) {
      this.#multiplyChunk(recorder, chunk, matrix.columns, out, {
        tokens,
        adds,
        outStride: pad8(matrix.rows),
        outOffset: chunk.firstRow,
      })
    }
  }

  dispose(): void {
    for (const buffer of [this.#halves, this.#undo, this.#partial]) buffer.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  #multiplyChunk(recorder: Recorder, chunk: Chunk, columns: number, out: GpuBuffer, place: MatmulParameters): void {
    const { rows, scale = 1, buffer } = chunk
    const { tile, split } = chooseMatrixTile(place.tokens)
    const splits = split ? splitsFor({ rows, columns }, this.#maxBinding) : 1
    const shape = { rows, columns, scale, unit: this.unit, tile: this.#fit(tile), parts: this.parts, splits }
    const inputs = [this.#halves, this.#undo, buffer]
    const count = splitsOf(shape)
    if (count === 1) return recorder.run(this.#kernel(shape), [...inputs, out], place)
    recorder.run(this.#kernel(shape), [...inputs, this.#partial], { tokens: place.tokens, outStride: rows, outOffset: 0 })
    const add = this.#made.get(`add ${rows} ${count}`, () => addSplits({ rows, splits: count }))
    recorder.run(add, [this.#partial, out], place)
  }

  #converter(input: RowsInput, columns: number): Kernel<HalfRowsParameters> {
    const key = `${input.kind} ${input.kind === "norm" ? input.epsilon : ""}`
    return this.#made.get(`halves ${columns} ${key}`, () => halfRows({ columns, parts: this.parts, input }))
  }

  #fit(tile: MatrixTile): MatrixTile {
    const fitting = fitTile(tile, this.unit, this.parts, this.#shared)
    if (!fitting) throw new RangeError(`${this.#shared} bytes of workgroup memory hold no tile`)
    return fitting
  }

  #kernel(shape: MatmulMatrixShape): Kernel<MatmulParameters> {
    const { rows, columns, scale, tile, splits } = shape
    return this.#made.get(`matmul ${rows} ${columns} ${scale} ${tile.tokens} ${tile.rows} ${splits}`, () => matmulMatrix(shape))
  }
}
