import { pad8 } from "../kernels/kernel.ts"
import type { LlamaConfig } from "./config.ts"
import type { Device, GpuBuffer } from "./device.ts"
import { InputError } from "./errors.ts"

/** One direction of the residual stream per layer. */
export interface Directions {
  /** 0-based layer -> f32 [hidden], added to that layer's output. */
  readonly directions: ReadonlyMap<number, Float32Array>
}

/** A vector added to the residual stream at the output of its layers, at every position. */
export interface Steering {
  readonly vector: Directions
  /** One for all rows of a batch, or one a row. */
  readonly coefficient: number | readonly number[]
  /** Layers to add it at; without them, all that the vector has. */
  readonly layers?: readonly number[]
}

interface LayerSteering {
  readonly count: number
  /** f32 [count, pad8(hidden)] */
  readonly vectors: GpuBuffer
  /** f32 [rows, count] */
  readonly coefficients: GpuBuffer
}

/** Steering as the kernels read it: per layer the vectors, and every row's coefficients. */
export class SteeringBuffers implements Disposable {
  readonly layers: ReadonlyMap<number, LayerSteering>

  private constructor(layers: ReadonlyMap<number, LayerSteering>) {
    this.layers = layers
  }

  /**
   * Uploads what `steering` adds to rows `rows` (indices into per-row coefficients).
   * @throws InputError for a vector of another width, a layer that the model or the vector has not, or coefficients that are not one finite number a row.
   */
  static upload(device: Device, config: LlamaConfig, steering: readonly Steering[], rows: readonly number[]): SteeringBuffers {
    const perLayer = new Map<number, { direction: Float32Array; coefficients: Float32Array }[]>()
    for (const one of steering) {
      const coefficients = rowCoefficients(one.coefficient, rows)
      for (const layer of one.layers ?? one.vector.directions.keys()) {
        const direction = checkedDirection(config, one.vector, layer)
        perLayer.set(layer, [...(perLayer.get(layer) ?? []), { direction, coefficients }])
      }
    }
    const stride = pad8(config.hiddenSize)
    const layers = new Map<number, LayerSteering>()
    for (const [layer, added] of perLayer) {
      const count = added.length
      const vectors = new Float32Array(count * stride)
      const coefficients = new Float32Array(rows.length * count)
      for (const [v, { direction, coefficients: own }] of added.entries()) {
        vectors.set(direction, v * stride)
        for (let row = 0; row < rows.length; row++) coefficients[row * count + v] = own[row] as number
      }
      layers.set(layer, {
        count,
        vectors: device.upload(`layer ${layer}'s steering vectors`, vectors),
        coefficients: device.upload(`layer ${layer}'s coefficients`, coefficients),
      })
    }
    return new SteeringBuffers(layers)
  }

  dispose(): void {
    for (const { vectors, coefficients } of this.layers.values()) {
      vectors.dispose()
      coefficients.dispose()
    }
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

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

function rowCoefficients(coefficient: number | readonly number[], rows: readonly number[]): Float32Array {
  const values = rows.map((row) => (typeof coefficient === "number" ? coefficient : coefficient[row]))
  const bad = values.findIndex((value) => value === undefined || !Number.isFinite(value))
  if (bad >= 0) {
    throw new InputError({
      where: "steering",
      expected: "a finite coefficient for every row",
      found: `${values[bad]} for row ${rows[bad]}`,
    })
  }
  return Float32Array.from(values as number[])
}
