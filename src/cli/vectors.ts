import { InputError, type LlamaConfig, type Model, readVector, type SteeringVector, vectorFormat } from "../index.ts"
import { fileSource } from "../node.ts"
import type { Terminal } from "./terminal.ts"

export { describeVector } from "../steering/record.ts"

/** A vector and the file that it was read from. */
export interface FileVector {
  readonly file: string
  readonly vector: SteeringVector
}

/** The vector in a safetensors or GGUF file, at `layers` alone where there are some. @throws InputError naming the file */
export async function readVectorFile(file: string, layers?: readonly number[]): Promise<FileVector> {
  vectorFormat(file)
  await using source = await fileSource(file)
  const vector = await readVector(source)
  return { file, vector: layers ? naming(file, () => vector.select(layers)) : vector }
}

/** @throws InputError for a vector that does not fit the model, naming its file. */
export function checkVector({ file, vector }: FileVector, config: LlamaConfig): void {
  naming(file, () => vector.checkAgainst(config))
}

/** Notes what is odd about using the vectors with the model. */
export function noteVectors(vectors: readonly FileVector[], model: Pick<Model, "name">, terminal: Terminal): void {
  for (const { file, vector } of vectors) {
    for (const warning of vector.warningsAgainst(model)) terminal.note(`note: ${file}: ${warning}`)
  }
}

/** What `act` gives; an InputError of it says the file first. */
export function naming<T>(file: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw inFile(file, error)
  }
}

/** The error, which says the file first when it is about bad input. */
export function inFile(file: string, error: unknown): unknown {
  if (!(error instanceof InputError)) return error
  return new InputError({ ...error.fault, where: `${file}, ${error.fault.where}` }, { cause: error })
}
