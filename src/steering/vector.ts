import type { ByteSource } from "../engine/bytes.ts"
import { InputError } from "../engine/errors.ts"
import { show } from "../engine/json.ts"
import { encodeSafetensors, readSafetensors, readTensorF32 } from "../engine/safetensors.ts"
import { readGguf } from "./gguf.ts"
import { encodeGguf } from "./gguf-write.ts"
import { norm } from "./numbers.ts"

/** Where a steering vector comes from. */
export interface VectorMetadata {
  /** The model it was made with. */
  readonly modelHint: string
  /** How it was made, such as `mean`. */
  readonly method: string
  /** What it was made from, such as the file of pairs. */
  readonly createdFrom?: string
}

// Hints that name no one model: none at all, and the family, which is all that repeng and llama.cpp write.
const VAGUE_HINTS: readonly string[] = ["unknown", "llama"]

const CONTROL_VECTOR = "controlvector"
const MODEL_HINT = "controlvector.model_hint"
const LAYER_COUNT = "controlvector.layer_count"
// Keys of our own, which other programs skip: with them a conversion loses nothing.
const METHOD = "redline.method"
const CREATED_FROM = "redline.created_from"

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

  /** What is odd, though not wrong, about using the vector with this model: that it was made with one of another name. */
  warningsAgainst(model: { readonly name: string }): string[] {
    const { modelHint } = this.metadata
    if (modelHint === model.name || !namesModel(modelHint)) return []
    return [`the vector was made with ${show(modelHint)}, the model is ${show(model.name)}: it may mean something else here`]
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
    for (const entry of tensors.values()) {
      const where = `${source.name}, tensor ${entry.name}`
      const layer = layerOf(entry.name, where)
      if (entry.shape.length !== 1) {
        throw new InputError({ where, expected: "one dimension", found: `[${entry.shape.join(", ")}]` })
      }
      directions.push([layer, await readTensorF32(entry)])
    }
    const { model_hint: modelHint, method, created_from: createdFrom } = metadata
    return new SteeringVector(directions, metadataOf(modelHint, method, createdFrom), source.name)
  }

  /**
   * A GGUF control vector, as repeng writes it and llama.cpp reads it: a tensor `direction.N` [width], F32, for layer N;
   * `controlvector.model_hint` and `controlvector.layer_count`, and the rest of the metadata under keys of our own.
   *
   * @throws InputError for a direction at layer 0, which the format has no place for
   */
  toGguf(): Uint8Array {
    if (this.directions.has(0)) {
      throw new InputError({
        where: "vector",
        expected: "layers from 1, all that a GGUF control vector can hold",
        found: "a direction for layer 0",
        todo: "leave that layer out or write a safetensors file",
      })
    }
    const { modelHint, method, createdFrom } = this.metadata
    const metadata: [string, string | number][] = [
      ["general.architecture", CONTROL_VECTOR],
      [MODEL_HINT, modelHint],
      [LAYER_COUNT, this.directions.size],
      [METHOD, method],
    ]
    if (createdFrom !== undefined) metadata.push([CREATED_FROM, createdFrom])
    return encodeGguf(metadata, new Map([...this.directions].map(([layer, data]) => [`direction.${layer}`, data])))
  }

  /**
   * The vector in a GGUF control vector of version 3. Directions of one layer are added up, as llama.cpp does; absent
   * metadata reads "unknown", and the count of layers is not needed.
   *
   * @throws InputError for a broken file, another architecture, none or other tensors than `direction.N` [width] with N
   * from 1, another type than F32, differing widths, numbers not finite
   */
  static async fromGguf(source: ByteSource): Promise<SteeringVector> {
    const file = await readGguf(source, CONTROL_VECTOR)
    const directions = new Map<number, Float32Array>()
    for (const { name, data } of file.tensors) {
      const where = `${source.name}, tensor ${name}`
      const layer = layerOf(name, where)
      // llama.cpp refuses it too: files that count from 0 mean other layers.
      if (layer === 0) throw new InputError({ where, expected: "direction.N with N from 1 in GGUF", found: "N = 0" })
      directions.set(layer, plus(directions.get(layer), data, where))
    }
    const metadata = metadataOf(file.text(MODEL_HINT), file.text(METHOD), file.text(CREATED_FROM))
    return new SteeringVector(directions, metadata, source.name)
  }
}

/** Whether a model hint names one model, rather than none or a family. */
export function namesModel(hint: string): boolean {
  return !VAGUE_HINTS.includes(hint)
}

function metadataOf(modelHint = "unknown", method = "unknown", createdFrom?: string): VectorMetadata {
  return { modelHint, method, ...(createdFrom !== undefined && { createdFrom }) }
}

function plus(before: Float32Array | undefined, data: Float32Array, where: string): Float32Array {
  if (before === undefined) return data
  if (before.length === data.length) return before.map((x, i) => x + (data[i] as number))
  throw new InputError({ where, expected: `width ${before.length}, as the one before has`, found: `${data.length}` })
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

function layerOf(name: string, where: string): number {
  const layer = /^direction\.(0|[1-9]\d{0,8})$/.exec(name)?.[1]
  if (layer === undefined) throw new InputError({ where, expected: "no tensors but direction.N", found: "another name" })
  return Number(layer)
}
