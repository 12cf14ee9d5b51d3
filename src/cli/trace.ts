import { encodeSafetensors, type Tensor } from "../index.ts"
import { writeFileAtomic } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { checkEdits, readEdits } from "./edits.ts"
import { checkedOut } from "./files.ts"
import { promptOf, promptOptions } from "./prompts.ts"
import { modelName, openSession } from "./session.ts"
import { checkSteering, readSteering, steeringFor, steeringNotes, steeringOptions } from "./steering.ts"
import { table } from "./text.ts"
import { noteVectors } from "./vectors.ts"

const LOGITS = "logits"

export const trace: Command = {
  name: "trace",
  summary: "named internals of one run, steered or not, into a file",
  options: {
    ...promptOptions("text"),
    capture: {
      value: "NAMES",
      help: "TransformerLens's names with commas, * for anything; again for more; blocks.*.hook_resid_post unless told",
    },
    edits: { value: "FILE.json", help: "change internals while the model runs; see below" },
    out: { value: "FILE", help: "write the tensors there (.safetensors, F32)" },
    ...steeringOptions,
  },
  notes: [
    "Shapes are [row, position, …] with one row, the pattern's [row, head, query, key]. Besides the internals of the model there is " +
      "logits, by its full name. A name that matches nothing is refused with the nearest ones. The file's metadata hold model and ids.",
    'FILE.json of --edits is a list of { "hook": NAME, "wgsl": EXPRESSION, "tensors": { NAME: TENSOR } }. The expression is the new ' +
      "value of each x: it may use x, row, position, head, index and the names of up to two tensors, which are each " +
      '{ "shape": [1, 256], "data": [0.5, …] } or { "file": "patch.safetensors", "tensor": "name" }, the file beside FILE.json. Shapes ' +
      "are aligned at the end with the internal's and axes of length 1 repeat. Captures see the edited values.",
    ...steeringNotes,
    "The whole text is the prompt of a vector's positions.",
    "JSON: { ids, tensors: [{ name, shape }], out }; out is null without --out.",
  ],
  examples: [
    'redline trace --text "I am happy" --capture "blocks.*.hook_resid_post,logits" --out trace.safetensors',
    'redline trace --text "I am happy" --capture "blocks.3.*"',
    'redline trace --text "I am happy" --edits ablate-head.json --capture logits --out edited.safetensors',
  ],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal, signal } = context
  const text = promptOf(options, "text")
  const given = options.has("capture") ? options.all("capture") : ["blocks.*.hook_resid_post"]
  const names = given.flatMap((list) => list.split(",")).map((name) => name.trim())
  const steering = await readSteering(options)
  const edits = await readEdits(options.text("edits"))
  const out = options.has("out") ? await checkedOut(options.text("out") as string, ["safetensors"]) : undefined
  using session = await openSession(context, (config) => checkSteering(steering, config))
  const { model } = session
  const ids = model.encode(text)
  await checkEdits(model, edits, ids.length)
  const { captured, logits } = await model.run([ids], {
    capture: names.filter((name) => name !== LOGITS),
    logits: names.includes(LOGITS),
    steering: steeringFor(steering, ids.length),
    edits: edits.map(({ edit }) => edit),
    signal,
  })
  session.announce()
  noteVectors(steering, model, terminal)
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
