import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"

/**
 * Checks that another model can judge what `model` writes after prompts [rows of ids]: it has the same tokens but for special
 * ones, and room for them.
 * @param tokens New tokens after each prompt.
 * @throws InputError naming the first token that differs
 */
export function checkEvaluator(evaluator: Model, model: Model, prompts: readonly (readonly number[])[], tokens: number): void {
  const where = `evaluator ${evaluator.name}`
  const different = difference(evaluator, model)
  if (different !== undefined) {
    const expected = `the tokens of ${model.name}, which writes the texts`
    throw new InputError({ where, expected, found: different, todo: "give a model with the same tokenizer" })
  }
  const longest = Math.max(...prompts.map((ids) => ids.length)) + tokens
  const { maxPositions } = evaluator.config
  if (longest <= maxPositions) return
  const todo = "shorten the prompt or ask for fewer tokens"
  throw new InputError({ where, expected: `a context of ${longest} tokens`, found: `${maxPositions}`, todo })
}

function difference(evaluator: Model, model: Model): string | undefined {
  const { vocabSize } = model.config
  const [own, other] = [model.tokenizer, evaluator.tokenizer]
  if (evaluator.config.vocabSize !== vocabSize) return `${evaluator.config.vocabSize} of them instead of ${vocabSize}`
  if (!own || !other) return undefined
  // Instruct models give names to special tokens that their base models reserve.
  const named = (id: number): boolean => !own.isSpecial(id) || !other.isSpecial(id)
  const ids = Array.from({ length: vocabSize }, (_, id) => id)
  const id = ids.find((each) => own.token(each) !== other.token(each) && named(each))
  return id === undefined ? undefined : `${other.token(id) ?? "none"} instead of ${own.token(id) ?? "none"} as token ${id}`
}
