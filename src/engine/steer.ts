import { pad8 } from "../kernels/kernel.ts"
import { OPERATION_WORDS, operationWords, type SteeringOperation, type SteeringWay } from "../kernels/steer.ts"
import type { LlamaConfig } from "./config.ts"
import type { Device, GpuBuffer } from "./device.ts"
import { InputError } from "./errors.ts"

export type { SteeringWay } from "../kernels/steer.ts"

/** One direction of the residual stream per layer. */
export interface Directions {
  /** 0-based layer -> f32 [hidden], acting on that layer's output. */
  readonly directions: ReadonlyMap<number, Float32Array>
}

/**
 * Where in a row a vector acts: everywhere, on the prompt, on what comes after it, on the prompt's last token, or on the
 * positions from the first number up to, not including, the second. Negative numbers count from the prompt's end.
 */
export type SteeringPositions = "all" | "prompt" | "generated" | "last" | readonly [number, number]

/** A vector that acts on the residual stream at the output of its layers. Several act one after the other. */
export interface Steering {
  readonly vector: Directions
  /**
   * One for all rows of a batch, or one a row; null leaves a row alone. What it means depends on the way:
   * `add` adds the vector times it; `ablate` takes this share of the projection on the vector away (1: all of it);
   * `clamp` sets the projection on the vector's direction to it; `rotate` turns the residual by this angle, in radians,
   * towards the vector, its length unchanged (as Vu and Nguyen's Angular Steering, 2025, in the plane of both).
   */
  readonly coefficient: number | readonly (number | null)[]
  /** `add` unless told. */
  readonly way?: SteeringWay
  /** Scales the residual back to the length it had before. */
  readonly keepLength?: boolean
  /** Layers to act at; without them, all that the vector has. */
  readonly layers?: readonly number[]
  /** One for all rows, or a list with one a row; "all" unless told. */
  readonly positions?: SteeringPositions | readonly SteeringPositions[]
}

/** A row of a batch: its place in the caller's list, and how many of its tokens are the prompt. */
export interface SteeredRow {
  readonly index: number
  readonly promptLength: number
}

interface LayerSteering {
  readonly count: number
  /** Whether a plain addition is all that happens. */
  readonly addsAlone: boolean
  /** f32 [count, pad8(hidden)] */
  readonly vectors: GpuBuffer
  /** [rows, count] operations */
  readonly operations: GpuBuffer
}

/** Steering as the kernels read it: per layer the vectors, and what each does to every row. */
export class SteeringBuffers implements Disposable {
  readonly layers: ReadonlyMap<number, LayerSteering>
  /** The first layer at which a token of a prompt is steered; Infinity where none is. */
  readonly firstOnPrompts: number

  private constructor(layers: ReadonlyMap<number, LayerSteering>, firstOnPrompts: number) {
    this.layers = layers
    this.firstOnPrompts = firstOnPrompts
  }

  /**
   * Uploads what `steering` does to these rows. Layers at which it does nothing cost nothing.
   * @throws InputError for a vector of another width, a layer that the model or the vector has not, or coefficients or
   * positions that are not one a row.
   */
  static upload(
    device: Device,
    config: LlamaConfig,
    steering: readonly Steering[],
    rows: readonly SteeredRow[],
  ): SteeringBuffers {
    let firstOnPrompts = Infinity
    const perLayer = new Map<number, { direction: Float32Array; operations: (SteeringOperation | undefined)[] }[]>()
    for (const one of steering) {
      const operations = rows.map((row) => operationOf(one, row))
      const onPrompt = operations.some((operation, i) => operation && operation.first < (rows[i] as SteeredRow).promptLength)
      for (const layer of one.layers ?? one.vector.directions.keys()) {
        const direction = checkedDirection(config, one.vector, layer)
        if (operations.every((operation) => operation === undefined)) continue
        if (onPrompt) firstOnPrompts = Math.min(firstOnPrompts, layer)
        perLayer.set(layer, [...(perLayer.get(layer) ?? []), { direction, operations }])
      }
    }
    const stride = pad8(config.hiddenSize)
    const layers = new Map<number, LayerSteering>()
    for (const [layer, acting] of perLayer) {
      const count = acting.length
      const vectors = new Float32Array(count * stride)
      const words = new Uint32Array(rows.length * count * OPERATION_WORDS)
      for (const [v, { direction, operations }] of acting.entries()) {
        vectors.set(direction, v * stride)
        for (const [row, operation] of operations.entries())
          words.set(operationWords(operation), (row * count + v) * OPERATION_WORDS)
      }
      layers.set(layer, {
        count,
        addsAlone: acting.every(({ operations }) => operations.every(addsPlainly)),
        vectors: device.upload(`layer ${layer}'s steering vectors`, vectors),
        operations: device.upload(`layer ${layer}'s steering operations`, words),
      })
    }
    return new SteeringBuffers(layers, firstOnPrompts)
  }

  dispose(): void {
    for (const { vectors, operations } of this.layers.values()) {
      vectors.dispose()
      operations.dispose()
    }
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

const addsPlainly = (operation: SteeringOperation | undefined): boolean =>
  operation === undefined || (operation.way === "add" && !operation.keepLength)

function checkedDirection(config: LlamaConfig, vector: Directions, layer: number): Float32Array {
  if (!Number.isInteger(layer) || layer < 0 || layer >= config.layers) {
    throw new InputError({
      where: "steering",
      expected: `layers 0 to ${config.layers - 1} of this model`,
      found: `layer ${layer}`,
      todo: "choose other layers or another model",
    })
  }
  const direction = vector.directions.get(layer)
  if (!direction) {
    throw new InputError({
      where: "steering",
      expected: `a layer of the vector (${[...vector.directions.keys()].join(", ")})`,
      found: `layer ${layer}`,
      todo: "choose other layers or train the vector for them",
    })
  }
  if (direction.length !== config.hiddenSize) {
    throw new InputError({
      where: "steering",
      expected: `a vector of width ${config.hiddenSize}, the model's`,
      found: `width ${direction.length} at layer ${layer}`,
      todo: "use a vector that was made for this model",
    })
  }
  return direction
}

/** What `steering` does to a row; undefined when it does nothing. */
function operationOf(steering: Steering, row: SteeredRow): SteeringOperation | undefined {
  const coefficient = coefficientOf(steering.coefficient, row.index)
  const way = steering.way ?? "add"
  // Clamping to 0 takes the projection away; every other way does nothing at 0.
  if (coefficient === null || (coefficient === 0 && way !== "clamp")) return undefined
  const [first, end] = rangeOf(steering.positions ?? "all", row)
  if (first >= end) return undefined
  return { way, keepLength: steering.keepLength ?? false, coefficient, first, end }
}

function coefficientOf(coefficient: Steering["coefficient"], row: number): number | null {
  const value = typeof coefficient === "number" ? coefficient : coefficient[row]
  if (value === null || (value !== undefined && Number.isFinite(Math.fround(value)))) return value
  throw new InputError({
    where: "steering",
    expected: "a finite coefficient or null for every row",
    found: `${value} for row ${row}`,
  })
}

function rangeOf(positions: NonNullable<Steering["positions"]>, { index, promptLength }: SteeredRow): readonly [number, number] {
  const own = isOne(positions) ? positions : positions[index]
  if (typeof own === "string" && own in NAMED) return NAMED[own](promptLength)
  if (typeof own !== "object" || own.length !== 2 || own.some(Number.isNaN)) {
    const expected = "all, prompt, generated, last or [from, to] for every row"
    throw new InputError({ where: "steering positions", expected, found: `${JSON.stringify(own) ?? "none"} for row ${index}` })
  }
  const [from, to] = own.map((position) => Math.max(0, position < 0 ? promptLength + position : position)) as [number, number]
  return [from, to]
}

const NAMED: Readonly<Record<Extract<SteeringPositions, string>, (promptLength: number) => readonly [number, number]>> = {
  all: () => [0, Infinity],
  prompt: (promptLength) => [0, promptLength],
  generated: (promptLength) => [promptLength, Infinity],
  last: (promptLength) => [promptLength - 1, promptLength],
}

function isOne(positions: NonNullable<Steering["positions"]>): positions is SteeringPositions {
  return typeof positions === "string" || typeof positions[0] === "number"
}
