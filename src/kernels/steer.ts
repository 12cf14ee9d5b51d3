import { ceilDiv, float, pad8, type Kernel } from "./kernel.ts"
import waysCode from "./steer-ways.wgsl"
import addCode from "./steer.wgsl"

export interface SteerOptions {
  readonly width: number
  /** Whether every operation adds: then a kernel without sums over the row serves. */
  readonly addsAlone: boolean
}

export interface SteerParameters {
  readonly tokens: number
  /** Operations of a row, and vectors. */
  readonly count: number
}

/** How a vector acts on the residual stream; steer-ways.wgsl has the formulas. */
export type SteeringWay = "add" | "ablate" | "clamp" | "rotate"

const WAYS: Readonly<Record<SteeringWay, number>> = { add: 1, ablate: 2, clamp: 3, rotate: 4 }
const KEEP_LENGTH = 16

/** What one vector does to one row of the batch. */
export interface SteeringOperation {
  readonly way: SteeringWay
  /** Whether the residual is scaled back to its length before. */
  readonly keepLength: boolean
  readonly coefficient: number
  /** Positions `first` up to `end`. */
  readonly first: number
  readonly end: number
}

/** Words of an operation in its buffer. */
export const OPERATION_WORDS = 4

/** The words of an operation; of undefined, those of one that does nothing. */
export function operationWords(operation: SteeringOperation | undefined): readonly number[] {
  if (operation === undefined) return [0, 0, 0, 0]
  const { way, keepLength, coefficient, first, end } = operation
  return [WAYS[way] + (keepLength ? KEEP_LENGTH : 0), float(coefficient), first, Math.min(end, 0xffffffff)]
}

/**
 * Steers the residual stream in place: the operations of a token's batch row act in order, each with its vector, where the
 * token's position is among the operation's. A row without an operation keeps its bits.
 *
 * Bindings: x f32 [tokens, pad8(width)], rows u32 [tokens], positions u32 [tokens], vectors f32 [count, pad8(width)],
 * operations [batchRows, count] of {@link operationWords}.
 */
export function steer({ width, addsAlone }: SteerOptions): Kernel<SteerParameters> {
  const lanes = width <= 1024 ? 32 : 256
  return {
    label: `steer ${addsAlone ? "add" : "ways"} [${width}]`,
    code: addsAlone ? addCode : waysCode,
    constants: addsAlone ? { STRIDE: pad8(width) } : { STRIDE: pad8(width), LANES: lanes },
    bindings: ["write", "read", "read", "read", "read"],
    parameters: ({ count }) => [count, lanes],
    grid: ({ tokens, count }) =>
      addsAlone ? [ceilDiv(pad8(width) / 4, 64), count === 0 ? 0 : tokens, 1] : [count === 0 ? 0 : tokens, 1, 1],
  }
}
