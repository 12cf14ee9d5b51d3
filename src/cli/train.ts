import { InputError } from "../index.ts"
import { writeFileAtomic } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { checkedOut } from "./files.ts"
import { quote } from "./options.ts"
import { openSession } from "./session.ts"
import { checkLayers, checkPairs, describeVector, pairsOptions, readPairs, trainFrom } from "./steering.ts"
import { counted, table } from "./text.ts"

const METHODS = ["mean"]

export const train: Command = {
  name: "train",
  summary: "make a steering vector from contrast pairs",
  options: {
    ...pairsOptions,
    method: { value: "NAME", help: "mean: the mean difference of the residual stream at the last tokens" },
    layers: { value: "LAYERS", help: "0-based layers such as 2-5,7; the model's middle third unless told" },
    out: { value: "FILE", help: "write the vector there (.safetensors)" },
  },
  notes: ["JSON: { vector: { modelHint, method, createdFrom, layers, norms }, out }, norms by layer."],
  examples: [
    "redline train --pairs pairs.jsonl --layers 3-4 --out wedding.safetensors",
    'redline train --positive "I am happy" --negative "I am sad" --out happy.safetensors',
  ],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal } = context
  const method = options.text("method") ?? "mean"
  if (!METHODS.includes(method)) {
    throw new InputError({ where: "--method", expected: METHODS.join(" or "), found: quote(method) })
  }
  options.oneOf(["positive", "negative"], ["pairs"])
  const source = await readPairs(options)
  if (!source) {
    throw new InputError({ where: "train", expected: "--pairs, or --positive with --negative", found: "none of them" })
  }
  const out = await checkedOut(options.required("out", "name the vector's file"))
  using session = await openSession(context, (config) => checkLayers(options, config))
  checkPairs(session.model, source)
  session.announce()
  const vector = await trainFrom(session.model, source, context)
  await writeFileAtomic(out, vector.toSafetensors())
  if (terminal.json) return terminal.document({ vector: describeVector(vector), out })
  const rows = [...vector.norms()].map(([layer, norm]) => [`${layer}`, norm.toFixed(4)])
  terminal.print(...table([["layer", "norm"], ...rows], ["right", "right"]))
  terminal.print("", `${out}: ${vector.metadata.method} of ${counted(source.pairs.length, "pair")}, width ${vector.width}`)
}
