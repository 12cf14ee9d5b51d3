import { type LoadModelOptions, Model } from "../engine/model.ts"
import { openFolder } from "./files.ts"

/**
 * Loads a Llama 3 model from a folder in Hugging Face's layout.
 * @throws InputError for files that are absent or broken, OutOfMemoryError naming the tensor that did not fit.
 * @example
 * const device = await openDevice()
 * const model = await loadModel("models/tiny-talk", { device })
 */
export async function loadModel(path: string, options: LoadModelOptions): Promise<Model> {
  await using folder = await openFolder(path)
  return await Model.load(folder, options)
}
