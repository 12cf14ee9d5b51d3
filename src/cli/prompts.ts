import { type EncodedPrompt, InputError, type Model, type Pair, type Prompt } from "../index.ts"
import { linesOf, readText } from "./files.ts"
import { type Options, type OptionTable, parseIds, quote } from "./options.ts"

/** Text or ids that a command runs: one of `name` and --ids. */
export function promptOptions(name: "prompt" | "text"): OptionTable {
  return {
    [name]: { value: "TEXT", help: "encoded as the tokenizer says, with its beginning-of-text token" },
    ids: { value: "IDS", help: "token ids such as 1,2,3 instead, taken as they are" },
  }
}

/** For commands whose prompts may be messages to an instruct model: {@link asPrompts} heeds it. */
export const chatOption: OptionTable = {
  chat: { help: "for instruct models: each prompt is the user's message in the model's chat template" },
}

/** A text as the user's message to an instruct model. @throws InputError for a model without a chat template */
export function asMessage(model: Model, text: string, tokens: number): EncodedPrompt {
  return { text, ids: model.encodeChat([{ role: "user", content: text }], tokens), chat: true }
}

/**
 * The prompts with their ids, with --chat as the user's messages; the texts are shown as they are.
 * @param tokens That are to come after each.
 * @throws InputError for a prompt that does not fit the model, or a model without a chat template
 */
export function asPrompts(model: Model, prompts: readonly Prompt[], options: Options, tokens = 0): EncodedPrompt[] {
  return prompts.map((prompt) => {
    if (typeof prompt !== "string") return { text: model.decode(prompt), ids: model.encode(prompt, tokens) }
    if (options.has("chat")) return asMessage(model, prompt, tokens)
    return { text: prompt, ids: model.encode(prompt, tokens) }
  })
}

/** What {@link promptOptions} give. @throws InputError unless it is one of them. */
export function promptOf(options: Options, name: "prompt" | "text"): Prompt {
  options.oneOf([name], ["ids"])
  const ids = options.text("ids")
  if (ids !== undefined) return parseIds(ids)
  return options.required(name, `give --${name} or --ids`)
}

/** The prompts of --prompt and --prompts together; those of --prompt come first. */
export async function readPrompts(options: Options): Promise<string[]> {
  const prompts = [...options.all("prompt")]
  for (const file of options.all("prompts")) {
    const lines = linesOf(await readText(file))
    if (lines.length === 0) throw new InputError({ where: file, expected: "a prompt on each line", found: "no text" })
    prompts.push(...lines)
  }
  return prompts
}

/**
 * The prefix that all texts of the pairs share, in whole words (ALERT's prompt).
 * @throws InputError when they share no word, or there are none, as beside --vector
 */
export function sharedPrefix(pairs: readonly Pair[]): string {
  if (pairs.length === 0) {
    throw new InputError({
      where: "--vector",
      expected: "--prompt or --prompts beside it",
      found: "neither",
      todo: "give a prompt",
    })
  }
  const texts = pairs.flatMap(({ positive, negative }) => [positive, negative])
  const first = texts[0] ?? ""
  let length = first.length
  for (const text of texts) while (!text.startsWith(first.slice(0, length))) length--
  // A word ends where every text ends or goes on with something that is no letter.
  const endsWord = (at: number): boolean => texts.every((text) => !/^[\p{L}\p{M}\p{N}'’]/u.test(text.slice(at)))
  while (length > 0 && !endsWord(length)) length--
  const prefix = first.slice(0, length).trimEnd()
  if (/[\p{L}\p{N}]/u.test(prefix)) return prefix
  const found = `${quote(first)} beside texts that begin otherwise`
  throw new InputError({
    where: "prompt",
    expected: "--prompt, --prompts or pairs that begin with the same words",
    found,
    todo: "give a prompt",
  })
}
