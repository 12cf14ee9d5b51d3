import { encodeSafetensors, type Sae, type SparseCode } from "../index.ts"
import { writeFileAtomic } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { checkedOut } from "./files.ts"
import { count } from "./options.ts"
import { promptOf, promptOptions } from "./prompts.ts"
import { saeOf, saeOptions, withSae } from "./sae.ts"
import { modelName } from "./session.ts"
import { oneLine, table } from "./text.ts"

export const saeEncode: Command = {
  name: "sae encode",
  summary: "the features of each token of a text, in their sparse form",
  options: {
    ...saeOptions,
    ...promptOptions("text"),
    count: { value: "N", help: "features of a token to print; 5 unless told" },
    out: { value: "FILE", help: "write all k features of every token there (.safetensors)" },
  },
  notes: [
    "Features are those of the layer's output, the strongest first, after TopK. The first token's are as they are, though attention " +
      "rests on it and its residual is unlike the others.",
    "FILE: indices and values [pos, k], F32, indices as whole numbers; an entry of value 0 stands for no feature.",
    "JSON: { layer, latents, k, ids, tokens: [{ position, id, token, features: [{ feature, activation }] }], out }: all features of " +
      "every token; token is null without a tokenizer.",
  ],
  examples: ['redline sae encode --sae models/tiny-talk-sae --layer 3 --text "I am talking about the sea."'],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal, signal } = context
  const text = promptOf(options, "text")
  const shown = options.number("count", count) ?? 5
  saeOf(options)
  const out = options.has("out") ? await checkedOut(options.text("out") as string, ["safetensors"]) : undefined
  await withSae(context, async (session, sae) => {
    const { model } = session
    const hook = `blocks.${sae.layer}.hook_resid_post`
    const ids = model.encode(text)
    const { captured } = await model.run([ids], { capture: [hook], logits: false, signal })
    session.announce()
    const code = await sae.encode(captured.get(hook)?.data as Float32Array, { signal })
    if (out !== undefined) {
      await writeFileAtomic(out, fileOf(code, { model: modelName(options), layer: `${sae.layer}`, ids: ids.join(",") }))
    }
    const tokens = ids.map((id, position) => ({
      position,
      id,
      token: model.tokenizer?.decode([id], { special: true }),
      features: featuresOf(code, position),
    }))
    if (terminal.json) return terminal.document({ ...sizes(sae), ids, tokens, out })
    const rows = tokens.map(({ position, token, id, features }) => [
      `${position}`,
      token === undefined ? `${id}` : oneLine(token),
      features
        .slice(0, shown)
        .map(({ feature, activation }) => `${feature}:${activation.toFixed(2)}`)
        .join("  "),
    ])
    terminal.print(...table([["position", "token", "feature:activation"], ...rows], ["right", "left", "left"]))
    if (out !== undefined) terminal.note(`wrote ${out}`)
  })
}

function featuresOf({ k, indices, values }: SparseCode, row: number): { feature: number; activation: number }[] {
  const entries = Array.from({ length: k }, (_, i) => row * k + i).filter((entry) => values[entry] !== 0)
  return entries.map((entry) => ({ feature: indices[entry] as number, activation: values[entry] as number }))
}

function fileOf({ rows, k, indices, values }: SparseCode, metadata: Readonly<Record<string, string>>): Uint8Array {
  const shape = [rows, k]
  return encodeSafetensors(
    new Map([
      ["indices", { shape, data: Float32Array.from(indices) }],
      ["values", { shape, data: values }],
    ]),
    metadata,
  )
}

const sizes = ({ layer, latents, k }: Sae): Record<string, number> => ({ layer, latents, k })
