import type { EncodedPrompt } from "../index.ts"
import type { Command, Context } from "./command.ts"
import { anyNumber, count, positive } from "./options.ts"
import { asPrompts, chatOption, promptOf, promptOptions } from "./prompts.ts"
import { openSession } from "./session.ts"
import { checkSteering, readSteering, steeringFor, steeringNotes, steeringOptions } from "./steering.ts"
import { harmless } from "./text.ts"
import { noteVectors } from "./vectors.ts"

export const generate: Command = {
  name: "generate",
  summary: "continue a prompt, steered or not, as it is generated",
  options: {
    ...promptOptions("prompt"),
    ...chatOption,
    ...steeringOptions,
    "tokens": { value: "N", help: "new tokens at most; 32 unless told" },
    "temperature": { value: "NUMBER", help: "0, which is the default, chooses greedily" },
    "top-p": { value: "NUMBER", help: "sample from the most probable tokens that together reach this; 1 unless told" },
    "repetition-penalty": { value: "NUMBER", help: "Hugging Face's; 1, which is none, unless told" },
    "seed": { value: "N", help: "of the sampling; 0 unless told" },
  },
  notes: [
    "Prints the new text alone, or the new ids where the model has no tokenizer. It ends at an end-of-text or end-of-turn token or " +
      "after --tokens.",
    ...steeringNotes,
    "JSON: { prompt, promptIds, ids, text, logprobs, stopped }: ids are the new ones alone, logprobs theirs under the model as it " +
      "generates (steered; before penalty and temperature), stopped is end or length; prompt and text are null without a tokenizer.",
  ],
  examples: [
    'redline generate --prompt "I am" --tokens 20',
    'redline generate --prompt "I am" --vector wedding.gguf:0.6:3-4',
    'redline generate --prompt "I am" --vector calm.gguf:0.5:generated --vector anger.gguf:1:ablate',
  ],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal, signal } = context
  options.oneOf(["chat"], ["ids"])
  const prompt = promptOf(options, "prompt")
  const tokens = options.number("tokens", count) ?? 32
  const settings = {
    temperature: options.number("temperature", anyNumber) ?? 0,
    topP: options.number("top-p", positive) ?? 1,
    repetitionPenalty: options.number("repetition-penalty", positive) ?? 1,
    seed: options.number("seed", anyNumber) ?? 0,
  }
  const steering = await readSteering(options)
  using session = await openSession(context, (config) => checkSteering(steering, config))
  const { model } = session
  const { text: promptText, ids: promptIds } = asPrompts(model, [prompt], options, tokens)[0] as EncodedPrompt

  const ids: number[] = []
  const logprobs: number[] = []
  const stream = model.tokenizer?.stream()
  const write = (piece: string): void => {
    if (!terminal.json && piece !== "") terminal.write(terminal.interactive ? harmless(piece) : piece)
  }
  const generation = model.generateTokens(promptIds, {
    ...settings,
    tokens,
    steering: steeringFor(steering, promptIds.length),
    logprobs: terminal.json,
    signal,
  })
  session.announce()
  noteVectors(steering, model, terminal)
  try {
    for await (const { id, logprob } of generation) {
      write(stream ? stream.push(id) : `${ids.length > 0 ? " " : ""}${id}`)
      ids.push(id)
      if (logprob !== undefined) logprobs.push(logprob)
    }
    write(stream?.end() ?? "")
  } finally {
    if (ids.length > 0) write("\n")
  }
  if (!terminal.json) return
  const stopped = model.endIds.includes(ids.at(-1) ?? -1) ? "end" : "length"
  const text = model.decode(ids)
  terminal.document({
    prompt: promptText,
    promptIds,
    ids,
    text,
    logprobs,
    stopped,
  })
}
