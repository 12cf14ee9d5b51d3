import { encodeSafetensors, type Tensor } from "../index.ts"
import { writeFileAtomic } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { checkedOut } from "./files.ts"
import { promptOf, promptOptions } from "./prompts.ts"
import { modelName, openSession } from "./session.ts"
import { checkSteering, readSteering, steeringOptions } from "./steering.ts"
import { table } from "./text.ts"

const LOGITS = "logits"

export const trace: Command = {
  name: "trace",
  summary: "named internals of one run, steered or not, into a file",
  options: {
    ...promptOptions("text"),
    capture: {
      value: "NAMES",
      help: "TransformerLens's names with commas, * for anything; blocks.*.hook_resid_post unless told",
    },
    out: { value: "FILE", help: "write the tensors there (.safetensors, F32)" },
    ...steeringOptions,
  },
  notes: [
    "Shapes are [row, position, …] with one row, the pattern's [row, head, query, key]. Besides the internals of the model there is " +
      "logits, by its full name. A name that matches nothing is refused with the nearest ones. The file's metadata hold model and ids.",
    "JSON: { ids, tensors: [{ name, shape }], out }; out is null without --out.",
  ],
  examples: [
    'redline trace --text "I am happy" --capture "blocks.*.hook_resid_post,logits" --out trace.safetensors',
    'redline trace --text "I am happy" --capture "blocks.3.*"',
  ],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal, signal } = context
  const text = promptOf(options, "text")
  const names = (options.text("capture") ?? "blocks.*.hook_resid_post").split(",").map((name) => name.trim())
  const steering = await readSteering(options)
  const out = options.has("out") ? await checkedOut(options.text("out") as string) : undefined
  using session = await openSession(context, (config) => checkSteering(steering, config))
  const { model } = session
  const ids = model.encode(text)
  const capture = names.filter((name) => name !== LOGITS)
  const { captured, logits } = await model.run([ids], { capture, logits: names.includes(LOGITS), steering, signal })
  session.announce()
  const tensors = new Map<string, Tensor>(captured)
  if (logits) tensors.set(LOGITS, logits)
  if (out !== undefined) {
    await writeFileAtomic(out, encodeSafetensors(tensors, { model: modelName(options), ids: ids.join(",") }))
  }
  const list = [...tensors].map(([name, { shape }]) => ({ name, shape }))
  if (terminal.json) return terminal.document({ ids, tensors: list, out })
  terminal.print(
    ...table([["name", "shape"], ...list.map(({ name, shape }) => [name, `[${shape.join(", ")}]`])], ["left", "left"]),
  )
  if (out !== undefined) terminal.note(`wrote ${out}`)
}
