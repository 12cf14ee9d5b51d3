import * as z from "zod"
import { anyNumber, type Options, wholeNumber } from "../src/cli/options.ts"
import { checkShape } from "../src/engine/json.ts"
import { InputError } from "../src/index.ts"
import { readJson, type ScriptOptions } from "./program.ts"

/** `coefficient * vector` [hidden] is added to the output of the 0-based layer. */
export interface AddedVector {
  readonly layer: number
  readonly vector: readonly number[]
  readonly coefficient: number
}

/** The options that {@link addedVector} reads. */
export const ADDED_VECTOR: ScriptOptions = { vector: undefined, layer: undefined, coefficient: "1" }

const numbers = z.array(z.number("a number"), "a list of numbers").min(1, "a list of numbers")

/** The vector of `--vector FILE --layer L --coefficient C`, whose file is a JSON list; undefined without one. @throws InputError */
export async function addedVector(options: Options): Promise<AddedVector | undefined> {
  const file = options.text("vector")
  if (file === undefined) return undefined
  const layer = options.number("layer", wholeNumber)
  if (layer === undefined) {
    throw new InputError({ where: "--layer", expected: "a layer for the vector", found: "nothing", todo: "give --layer L" })
  }
  const vector = checkShape(numbers, await readJson(file), file)
  return { layer, vector, coefficient: options.number("coefficient", anyNumber) as number }
}
