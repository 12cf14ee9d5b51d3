import { basename, join } from "node:path"
import { type Model, numericVariations, type StudyTopic, type Variation } from "../index.ts"
import { embeddedInstructModel, embeddedModel } from "../node.ts"
import type { Context } from "./command.ts"
import { linesOf, readText } from "./files.ts"
import { asMessage, asPrompts } from "./prompts.ts"
import { modelName, shortPath } from "./session.ts"
import type { StudyRequest } from "./study-request.ts"

/** The folder of the instruct model that --sensitivity sets beside the model; undefined where there is none. */
export function instructFolder({ options }: Context): string | undefined {
  const embedded = modelName(options) === basename(embeddedModel)
  return options.text("instruct") ?? (embedded ? shortPath(embeddedInstructModel) : undefined)
}

/** An instruct model with vectors of its own. */
export interface InstructSide {
  readonly model: Model
  readonly topics: readonly StudyTopic[]
  /** Messages to it. */
  readonly messages: readonly string[]
}

/** The user's messages that an instruct model's folder holds in prompts.txt, `others` where it holds none. */
export async function messagesOf(folder: string, others: readonly string[]): Promise<readonly string[]> {
  const text = await readText(join(folder, "prompts.txt")).catch(() => "")
  const lines = linesOf(text)
  return lines.length > 0 ? lines : others
}

/** What --sensitivity changes, one setting at a time: numbers, kinds of prompts, and which model writes and which judges. */
export function variationsOf(
  { options }: Context,
  model: Model,
  { tokens, kinds = new Map() }: StudyRequest,
  instruct: InstructSide | undefined,
): Variation[] {
  return [
    ...numericVariations,
    ...[...kinds].map(([value, prompts]): Variation => {
      return { setting: "prompts", value, options: { prompts: asPrompts(model, prompts, options, tokens) } }
    }),
    ...(instruct ? modelVariations(model, tokens, instruct) : []),
  ]
}

function modelVariations(model: Model, tokens: number, { model: other, topics, messages }: InstructSide): Variation[] {
  const setting = "writer, evaluator"
  const [own, its] = [model.name, other.name]
  const prompts = messages.map((message) => asMessage(other, message, tokens))
  const generator = { model: other, topics }
  return [
    { setting, value: `${own}, ${its}`, options: { evaluator: other } },
    { setting, value: `${its}, ${its}`, options: { prompts }, generator },
    { setting, value: `${its}, ${own}`, options: { prompts, evaluator: model }, generator },
  ]
}
