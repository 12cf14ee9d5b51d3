import { InputError } from "../index.ts"
import type { Command, Context } from "./command.ts"
import { count } from "./options.ts"
import { promptOf, promptOptions } from "./prompts.ts"
import { openSession } from "./session.ts"
import { checkSteering, readSteering, steeringFor, steeringNotes, steeringOptions } from "./steering.ts"
import { counted, oneLine, table } from "./text.ts"
import { noteVectors } from "./vectors.ts"

export const score: Command = {
  name: "score",
  summary: "the log-prob of each token of a text given those before it, steered or not",
  options: {
    ...promptOptions("text"),
    "prompt-length": { value: "N", help: "the first N tokens are the prompt: not scored; 1 unless told" },
    ...steeringOptions,
  },
  notes: [
    "Natural logs. Nothing comes before the first token, so it has no log-prob. For a vector's positions the prompt is the first " +
      "--prompt-length tokens.",
    ...steeringNotes,
    "JSON: { ids, logprobs, mean, total }: logprobs[i] is of ids[i + 1], null for tokens of the prompt; mean and total are over the " +
      "others, the tokens from --prompt-length on.",
  ],
  examples: ['redline score --text "I am happy to be here."', "redline score --ids 4080,72,372,640 --prompt-length 2 --json"],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal, signal } = context
  const text = promptOf(options, "text")
  const from = options.number("prompt-length", count) ?? 1
  const steering = await readSteering(options)
  using session = await openSession(context, (config) => checkSteering(steering, config))
  const { model } = session
  const ids = model.encode(text)
  if (ids.length < 2)
    throw new InputError({ where: "text", expected: "at least two tokens", found: counted(ids.length, "token") })
  if (from >= ids.length) {
    throw new InputError({
      where: "--prompt-length",
      expected: `1 to ${ids.length - 1}: the text has ${ids.length} tokens`,
      found: `${from}`,
    })
  }
  session.announce()
  noteVectors(steering, model, terminal)
  terminal.progress(`scoring ${counted(ids.length - from, "token")}`)
  const [scores] = await model.score([{ ids, from }], { steering: steeringFor(steering, from), signal })
  const scored = [...(scores?.logprobs ?? [])]
  const logprobs = [...Array<null>(from - 1).fill(null), ...scored]
  const total = scored.reduce((a, b) => a + b, 0)
  const mean = total / scored.length
  if (terminal.json) return terminal.document({ ids, logprobs, mean, total })
  const shown = (id: number): string => oneLine(model.tokenizer?.decode([id], { special: true }) ?? "")
  const rows = ids.map((id, i) => [`${i}`, `${id}`, logprobs[i - 1]?.toFixed(4) ?? "", shown(id)])
  terminal.print(...table([["position", "id", "log-prob", "token"], ...rows], ["right", "right", "right", "left"]))
  terminal.print("", `mean ${mean.toFixed(4)}, total ${total.toFixed(4)} over ${counted(scored.length, "token")}`)
}
