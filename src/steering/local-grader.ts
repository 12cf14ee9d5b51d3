import { InputError } from "../engine/errors.ts"
import type { Model } from "../engine/model.ts"
import type { Grader } from "./grades.ts"
import { BEST_RATING } from "./rubric.ts"

/** How every answer begins; what follows is the rating. */
const ANSWER = "Rating: [["
/** Questions are long: so many run together at most, so that ratings come, and are kept, as the work goes on. */
const TOGETHER = 16

/**
 * A model on this machine as the grader, with no network and no sampling: its answer is begun for it, and the probabilities of the
 * tokens 0, 1 and 2 to go on with give the expected rating. (The most likely one would be the same for nearly all texts: a model that
 * was not trained to judge prefers one answer, and shifts its probabilities a little by what it reads.) With a chat template the
 * question is the user's message, else a text that the model goes on with.
 *
 * @param source sha256 of the model's files
 * @throws InputError for a model without the tokens 0, 1 and 2
 */
export function localGrader(model: Model, source: string): Grader {
  const answers = answerTokens(model)
  return {
    grader: "local",
    model: model.name,
    source,
    async rate(questions, onAnswer, signal) {
      for (let first = 0; first < questions.length; first += TOGETHER) {
        const prompts = questions.slice(first, first + TOGETHER).map((question) => asked(model, question))
        const { logits } = await model.run(prompts, { at: "last", ...(signal && { signal }) })
        const { data } = logits as { data: Float32Array }
        for (const row of prompts.keys()) {
          const of = answers.map((id) => data[row * model.config.vocabSize + id] as number)
          const probabilities = softmax(of)
          const rating = probabilities.reduce((sum, p, value) => sum + p * value, 0)
          onAnswer(first + row, { rating, probabilities })
        }
      }
    },
  }
}

/** The ids of a question and of the answer's beginning. */
function asked(model: Model, question: string): number[] {
  if (!model.hasChatTemplate) return model.encode(`${question}\n\n${ANSWER}`)
  const beginning = model.tokenizer?.encode(ANSWER, { addSpecial: false }) ?? []
  return [...model.encodeChat([{ role: "user", content: question }], beginning.length), ...beginning]
}

/** The ids of 0, 1 and 2 where they follow an answer's beginning as tokens of their own. */
function answerTokens({ name, tokenizer }: Model): number[] {
  const before = tokenizer?.encode(ANSWER, { addSpecial: false }) ?? []
  return Array.from({ length: BEST_RATING + 1 }, (_, rating) => {
    const whole = tokenizer?.encode(`${ANSWER}${rating}`, { addSpecial: false }) ?? []
    const id = whole.at(-1)
    if (id !== undefined && whole.length === before.length + 1 && before.every((one, i) => one === whole[i])) return id
    const todo = "choose another model with --model, or another grader"
    throw new InputError({ where: name, expected: `a token «${rating}» to rate with`, found: "none", todo })
  })
}

function softmax(logits: readonly number[]): number[] {
  const largest = Math.max(...logits)
  const weights = logits.map((logit) => Math.exp(logit - largest))
  const sum = weights.reduce((a, b) => a + b, 0)
  return weights.map((weight) => weight / sum)
}
