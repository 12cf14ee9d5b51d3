import { count, notNegative, type Options, type OptionTable, positive, wholeNumber } from "./options.ts"

/** How a search's texts are generated. */
export interface GenerationSettings {
  readonly tokens: number
  readonly repetitionPenalty: number
  readonly temperature: number
  readonly seed: number
}

/** Its options; {@link readGeneration} reads them. */
export const searchGenerationOptions: OptionTable = {
  "tokens": { value: "N", help: "new tokens of a completion; 32 unless told" },
  "repetition-penalty": { value: "NUMBER", help: "Hugging Face's, while generating; 1.1 unless told, 1 is none" },
  "temperature": { value: "NUMBER", help: "above 0 the texts are drawn, and the curve is noisy; 0 unless told" },
  "seed": { value: "N", help: "of the drawing; 0 unless told" },
}

/** @throws InputError for a number out of its range */
export function readGeneration(options: Options): GenerationSettings {
  return {
    tokens: options.number("tokens", count) ?? 32,
    repetitionPenalty: options.number("repetition-penalty", positive) ?? 1.1,
    temperature: options.number("temperature", notNegative) ?? 0,
    seed: options.number("seed", wholeNumber) ?? 0,
  }
}
