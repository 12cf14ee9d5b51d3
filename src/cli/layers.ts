import { InputError, type LlamaConfig } from "../index.ts"
import { type Options, parseLayers } from "./options.ts"

export { middleThird } from "../steering/suggest.ts"

/** What --layers names. @throws InputError when it is no list of layers. */
export function layersOption(options: Options): number[] | undefined {
  const text = options.text("layers")
  return text === undefined ? undefined : parseLayers(text)
}

/** @throws InputError for a layer that the model has not. */
export function checkLayers(wanted: readonly number[], { layers }: LlamaConfig, where = "--layers"): void {
  const beyond = wanted.filter((layer) => layer >= layers)
  if (beyond.length === 0) return
  throw new InputError({ where, expected: `layers 0 to ${layers - 1}, the model's`, found: beyond.join(", ") })
}
