import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import { mean, norm } from "./numbers.ts"
import type { SteeringVector } from "./vector.ts"

/**
 * The coefficient that makes the vector as long as the residual stream where it is added: the mean over layers of the
 * mean residual norm after the layer divided by the vector's norm. A prompt's first token is left out where others
 * follow: models park attention there, and its residual is many times longer than any other.
 */
export async function residualUnit(
  model: Model,
  vector: SteeringVector,
  prompts: readonly (readonly number[])[],
): Promise<number> {
  const names = vector.layers.map((layer) => `blocks.${layer}.hook_resid_post`)
  const { captured, lengths } = await model.run(prompts, { capture: names, logits: false })
  const norms = vector.norms()
  const ratios = vector.layers.flatMap((layer, i) => {
    const tensor = captured.get(names[i] as string)
    const length = norms.get(layer) ?? 0
    return tensor && length > 0 ? [meanNorm(tensor.data, lengths, tensor.shape) / length] : []
  })
  if (ratios.length === 0) {
    throw new InputError({ where: "vector", expected: "a direction that is not zero", found: "zeros", todo: "train it again" })
  }
  return mean(ratios)
}

function meanNorm(data: Float32Array, lengths: readonly number[], [, positions = 0, width = 0]: readonly number[]): number {
  let sum = 0
  let count = 0
  for (const [row, length] of lengths.entries()) {
    for (let position = length > 1 ? 1 : 0; position < length; position++) {
      const first = (row * positions + position) * width
      sum += norm(data.subarray(first, first + width))
      count++
    }
  }
  return sum / count
}
