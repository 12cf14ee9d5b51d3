import type { ByteSource } from "../engine/bytes.ts"
import { InputError } from "../engine/errors.ts"
import { show } from "../engine/json.ts"
import { encodeSafetensors, readSafetensors, readTensorF32, type TensorEntry } from "../engine/safetensors.ts"

/** Where a steering vector comes from. */
export interface VectorMetadata {
  /** The model it was made with. */
  readonly modelHint: string
  /** How it was made, such as `mean`. */
  readonly method: string
  /** What it was made from, such as the file of pairs. */
  readonly createdFrom?: string
}

/**
 * A direction for each of some layers, to be added to the residual stream; never changed once made.
 *
 * Layers are 0-based: layer k is the output of `model.layers[k]`. In a file the tensor `direction.N` belongs to layer
 * N, the same number in safetensors files and in GGUF control vectors (which have none for layer 0).
 *
 * @example
 * ```ts
 * const vector = new SteeringVector([[3, direction]], { modelHint: "tiny-talk", method: "mean" })
 * await writeFile("bridge.safetensors", vector.toSafetensors())
 * ```
 */
export class SteeringVector {
  /** The size of the residual stream it fits. */
  readonly width: number
  /** The direction [width] of each layer, in ascending order of layers; not to be written to. */
  readonly directions: ReadonlyMap<number, Float32Array>
  readonly metadata: VectorMetadata

  /**
   * Copies the directions.
   *
   * @param where what to call the vector in errors, such as its file
   * @throws InputError for no direction, a layer that is no whole number from 0, differing widths or numbers not finite
   */
  constructor(directions: Iterable<readonly [number, Float32Array]>, metadata: VectorMetadata, where = "vector") {
    const sorted = [...directions].sort(([a], [b]) => a - b)
    this.width = checkDirections(sorted, where)
    this.directions = new Map(sorted.map(([layer, direction]) => [layer, direction.slice()]))
    this.metadata = Object.freeze({ ...metadata })
  }

  /** The layers it has a direction for, ascending. */
  get layers(): number[] {
    return [...this.directions.keys()]
  }

  /** The vector at these layers alone. Throws an InputError naming the layers that it lacks. */
  select(layers: readonly number[]): SteeringVector {
    const missing = layers.filter((layer) => !this.directions.has(layer))
    if (layers.length === 0 || missing.length > 0) {
      const found = layers.length === 0 ? "none" : missing.join(", ")
      throw new InputError({ where: "layers", expected: `some of the vector's layers ${this.layers.join(", ")}`, found })
    }
    return new SteeringVector(
      [...this.directions].filter(([layer]) => layers.includes(layer)),
      this.metadata,
    )
  }

  /** The Euclidean length of each layer's direction. */
  norms(): Map<number, number> {
    return new Map([...this.directions].map(([layer, direction]) => [layer, norm(direction)]))
  }

  /** Throws an InputError when the vector has another width than the model, or layers that the model has not. */
  checkAgainst(model: { readonly layers: number; readonly hiddenSize: number }): void {
    const todo = `use a vector made for this model (this one: ${show(this.metadata.modelHint)})`
    if (this.width !== model.hiddenSize) {
      throw new InputError({ where: "vector", expected: `width ${model.hiddenSize}, the model's`, found: `${this.width}`, todo })
    }
    const beyond = this.layers.filter((layer) => layer >= model.layers)
    if (beyond.length > 0) {
      const expected = `layers 0 to ${model.layers - 1}, the model's`
      throw new InputError({ where: "vector", expected, found: beyond.join(", "), todo })
    }
  }

  /** A safetensors file: a tensor `direction.N` [width], F32, for layer N; metadata model_hint, method, layers, created_from. */
  toSafetensors(): Uint8Array {
    const { modelHint, method, createdFrom } = this.metadata
    const tensors = new Map(
      [...this.directions].map(([layer, data]) => [`direction.${layer}`, { shape: [this.width], data }] as const),
    )
    return encodeSafetensors(tensors, {
      model_hint: modelHint,
      method,
      layers: this.layers.join(","),
      ...(createdFrom !== undefined && { created_from: createdFrom }),
    })
  }

  /**
   * The vector in a safetensors file as {@link toSafetensors} writes it; F16 and BF16 are read too. The layers are those
   * of the tensors' names; absent metadata reads "unknown".
   *
   * @throws InputError for a broken file, none or other tensors than `direction.N` [width], differing widths, numbers not finite
   */
  static async fromSafetensors(source: ByteSource): Promise<SteeringVector> {
    const { metadata, tensors } = await readSafetensors(source)
    const directions: [number, Float32Array][] = []
    for (const entry of tensors.values()) directions.push([layerOf(entry), await readTensorF32(entry)])
    const { model_hint: modelHint = "unknown", method = "unknown", created_from: createdFrom } = metadata
    return new SteeringVector(directions, { modelHint, method, ...(createdFrom !== undefined && { createdFrom }) }, source.name)
  }
}

function checkDirections(sorted: readonly (readonly [number, Float32Array])[], where: string): number {
  const [first] = sorted
  if (first === undefined) throw new InputError({ where, expected: "a tensor direction.N for each layer N", found: "none" })
  const width = first[1].length
  for (const [i, [layer, direction]] of sorted.entries()) {
    const at = `${where}, tensor direction.${layer}`
    if (!Number.isInteger(layer) || layer < 0) throw new InputError({ where: at, expected: "a layer from 0", found: `${layer}` })
    if (layer === sorted[i - 1]?.[0]) throw new InputError({ where: at, expected: "one direction", found: "several" })
    if (direction.length === 0) throw new InputError({ where: at, expected: "at least one number", found: "none" })
    if (direction.length !== width) {
      throw new InputError({ where: at, expected: `width ${width}, as direction.${first[0]} has`, found: `${direction.length}` })
    }
    const bad = direction.findIndex((x) => !Number.isFinite(x))
    if (bad >= 0) throw new InputError({ where: at, expected: "finite numbers", found: `${direction[bad]} at index ${bad}` })
  }
  return width
}

function layerOf({ name, shape, source }: TensorEntry): number {
  const layer = /^direction\.(0|[1-9]\d{0,8})$/.exec(name)?.[1]
  const where = `${source.name}, tensor ${name}`
  if (layer === undefined) throw new InputError({ where, expected: "no tensors but direction.N", found: "another name" })
  if (shape.length !== 1) throw new InputError({ where, expected: "one dimension", found: `[${shape.join(", ")}]` })
  return Number(layer)
}

function norm(direction: Float32Array): number {
  let sum = 0
  for (const x of direction) sum += x * x
  return Math.sqrt(sum)
}
