import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { type Model, parsePairs } from "../../src/index.ts"

/** Residuals of many texts: f32 [tokens, width] for each layer, without the first token of each text. */
export type Residuals = ReadonlyMap<number, Float32Array>

/** Texts that the model writes itself, from nothing but the beginning of a text. */
export async function ownTexts(model: Model, count: number, seed: number): Promise<number[][]> {
  const { bosId } = model.config
  if (bosId === null) throw new Error("the model has no token that begins a text")
  const prompts = Array.from({ length: count }, () => [bosId])
  const completions = await model.complete(prompts, { tokens: 96, temperature: 0.8, seed })
  return completions.map(({ ids }) => [bosId, ...ids])
}

/** Every `step`-th text of the pairs in a folder. */
export async function pairTexts(model: Model, folder: string, step: number): Promise<number[][]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith(".jsonl")).sort()
  const texts: string[] = []
  for (const file of files) {
    const pairs = parsePairs(await readFile(join(folder, file), "utf8"), file)
    for (const { positive, negative } of pairs) texts.push(positive, negative)
  }
  return texts.filter((_, i) => i % step === 0).map((text) => model.encode(text))
}

/**
 * Runs texts and keeps the residual streams after `layers`. The first token is left out: the attention of all others rests on it,
 * and its residual, the same in every text, is several times as long.
 */
export async function residualsOf(
  model: Model,
  texts: readonly (readonly number[])[],
  layers: readonly number[],
): Promise<Residuals> {
  const width = model.config.hiddenSize
  const total = texts.reduce((sum, ids) => sum + ids.length - 1, 0)
  const all = new Map(layers.map((layer) => [layer, new Float32Array(total * width)]))
  const name = (layer: number): string => `blocks.${layer}.hook_resid_post`
  const capture = layers.map(name)
  let token = 0
  for (let first = 0; first < texts.length; first += 32) {
    const { captured, lengths } = await model.run(texts.slice(first, first + 32), { capture, logits: false })
    const longest = Math.max(...lengths)
    for (const [row, length] of lengths.entries()) {
      for (const layer of layers) {
        const begin = (row * longest + 1) * width
        all.get(layer)?.set(captured.get(name(layer))?.data.subarray(begin, begin + (length - 1) * width) ?? [], token * width)
      }
      token += length - 1
    }
  }
  return all
}
