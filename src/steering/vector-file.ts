import type { ByteSource } from "../engine/bytes.ts"
import { InputError } from "../engine/errors.ts"
import { SteeringVector } from "./vector.ts"

/** The files that a steering vector can be kept in: ours, and the control vectors of repeng and llama.cpp. */
export type VectorFormat = "safetensors" | "gguf"

/** The format that a file's name asks for. Throws an InputError when it ends in neither .safetensors nor .gguf. */
export function vectorFormat(path: string): VectorFormat {
  const lower = path.toLowerCase()
  if (lower.endsWith(".safetensors")) return "safetensors"
  if (lower.endsWith(".gguf")) return "gguf"
  throw new InputError({ where: path, expected: "a name that ends in .safetensors or .gguf", found: "another" })
}

/**
 * The bytes of a vector's file, in the format that its name asks for.
 *
 * @throws InputError for another ending, or a vector with layer 0 in GGUF
 */
export function encodeVector(vector: SteeringVector, path: string): Uint8Array {
  return vectorFormat(path) === "gguf" ? vector.toGguf() : vector.toSafetensors()
}

/**
 * Reads a vector from a file of either format, told apart by its first bytes whatever its name.
 *
 * @throws InputError for a file of neither format, and as {@link SteeringVector.fromSafetensors} and
 * {@link SteeringVector.fromGguf} do
 */
export async function readVector(source: ByteSource): Promise<SteeringVector> {
  const head = new Uint8Array(await source.slice(0, Math.min(source.byteLength, 9)))
  if (String.fromCharCode(...head.subarray(0, 4)) === "GGUF") return SteeringVector.fromGguf(source)
  // Its JSON header follows a length of 8 bytes.
  if (head[8] === "{".charCodeAt(0)) return SteeringVector.fromSafetensors(source)
  throw new InputError({
    where: source.name,
    expected: "a steering vector, safetensors or GGUF",
    found: head.length === 0 ? "an empty file" : "another kind of file",
  })
}
