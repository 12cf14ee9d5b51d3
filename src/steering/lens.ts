import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import type { SteeringVector } from "./vector.ts"

/** A token and the logit that a direction alone gives it. */
export interface LensToken {
  readonly id: number
  /** Its text, or its entry in the vocabulary where it has none of its own; undefined without a tokenizer. */
  readonly text: string | undefined
  readonly logit: number
}

export interface VectorTokens {
  /** The tokens that the direction makes most probable, the best first. */
  readonly top: readonly LensToken[]
  /** Those that it makes least probable, the worst first. */
  readonly bottom: readonly LensToken[]
}

/**
 * The logit lens of a vector's direction at a layer (nostalgebraist 2020): the direction goes through the final norm and
 * the head as if it were the residual stream at the end. The norm takes the direction's length away, so that logits of
 * different vectors compare. What a direction means to later layers need not show in this, least of all at early layers.
 *
 * @param count tokens of either end
 * @throws InputError for a layer that the vector lacks or a vector of another width
 */
export async function vectorTokens(model: Model, vector: SteeringVector, layer: number, count = 10): Promise<VectorTokens> {
  const { directions } = vector.select([layer])
  const [logits] = (await model.unembed([...directions.values()])) as [Float32Array]
  const bad = logits.findIndex((x) => !Number.isFinite(x))
  if (bad >= 0) throw new InputError({ where: `vector, layer ${layer}`, expected: "finite logits", found: `${logits[bad]}` })
  const ids = [...logits.keys()].sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b)
  const describe = (id: number): LensToken => ({ id, text: textOf(model, id), logit: logits[id] as number })
  return { top: ids.slice(0, count).map(describe), bottom: ids.toReversed().slice(0, count).map(describe) }
}

function textOf({ tokenizer }: Model, id: number): string | undefined {
  const text = tokenizer?.decode([id])
  return text === "" || text?.includes("\uFFFD") ? tokenizer?.token(id) : text
}
