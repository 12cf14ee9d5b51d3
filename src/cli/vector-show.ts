import { InputError, type Model, openCheckpoint, type SteeringVector, type VectorTokens, vectorTokens } from "../index.ts"
import { openFolder } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { count } from "./options.ts"
import { modelPath, openSession } from "./session.ts"
import { cut, oneLine, ranges, short, table } from "./text.ts"
import { checkVector, describeVector, type FileVector, noteVectors, readVectorFile } from "./vectors.ts"

export const vectorShow: Command = {
  name: "vector show",
  summary: "what a vector's file says, and the tokens that each layer's direction makes most and least probable",
  operands: { value: "FILE", help: "a steering vector (.safetensors or .gguf)", least: 1, most: 1 },
  options: {
    tokens: { value: "N", help: "tokens of either end; 10 unless told" },
  },
  notes: [
    "The tokens are the logit lens's: the direction goes through the model's final norm and head as if it were the residual stream at " +
      "the end. What it means to later layers need not show, least of all at early ones. They take the model that the vector was made " +
      "for; where --model is not given and the embedded one does not fit, they are left out.",
    "JSON: { file, vector: { modelHint, method, createdFrom, layers, norms }, width, tokens }: tokens by layer, each { top, bottom } " +
      "of [{ id, text, logit }], null where the model does not fit.",
  ],
  examples: ["redline vector show wedding.gguf", "redline vector show wedding.gguf --model DIR --json"],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal } = context
  const wanted = options.number("tokens", count) ?? 10
  const stored = await readVectorFile(options.operands[0] as string)
  const { file, vector } = stored
  const tokens = (await fits(stored, context)) ? await lens(stored, wanted, context) : undefined
  if (terminal.json) {
    const byLayer = tokens && Object.fromEntries(tokens)
    return terminal.document({ file, vector: describeVector(vector), width: vector.width, tokens: byLayer })
  }
  const { modelHint, method, createdFrom } = vector.metadata
  const facts = [
    ["file", file],
    ["model", modelHint],
    ["method", method],
    ["from", createdFrom ?? "unknown"],
    ["layers", ranges(vector.layers)],
    ["width", `${vector.width}`],
  ]
  terminal.print(...table(facts, ["left", "left"]).map(oneLine), "")
  terminal.print(...layerTable(vector, tokens).map((line) => cut(line, terminal.width)))
}

/** Whether the model fits the vector. @throws InputError when it does not and --model names it */
async function fits(stored: FileVector, { options, terminal }: Context): Promise<boolean> {
  await using folder = await openFolder(modelPath(options))
  const { config } = await openCheckpoint(folder)
  try {
    checkVector(stored, config)
    return true
  } catch (error) {
    if (!(error instanceof InputError) || options.has("model")) throw error
    terminal.note(`note: no tokens, the embedded model does not fit (${error.message}); name another with --model`)
    return false
  }
}

async function lens(stored: FileVector, wanted: number, context: Context): Promise<Map<number, VectorTokens>> {
  using session = await openSession(context, () => {})
  const { model } = session
  session.announce()
  noteVectors([stored], model, context.terminal)
  return await lensOf(model, stored.vector, wanted)
}

async function lensOf(model: Model, vector: SteeringVector, wanted: number): Promise<Map<number, VectorTokens>> {
  const tokens = new Map<number, VectorTokens>()
  for (const layer of vector.layers) tokens.set(layer, await vectorTokens(model, vector, layer, wanted))
  return tokens
}

function layerTable(vector: SteeringVector, tokens: ReadonlyMap<number, VectorTokens> | undefined): string[] {
  const rows = [...vector.norms()].flatMap(([layer, norm]) => {
    const ends = tokens?.get(layer)
    if (!ends) return [[`${layer}`, norm.toFixed(4)]]
    return [
      [`${layer}`, norm.toFixed(4), "top", listed(ends.top)],
      ["", "", "bottom", listed(ends.bottom)],
    ]
  })
  return table([["layer", "norm", ...(tokens ? ["", "tokens"] : [])], ...rows], ["right", "right", "left", "left"])
}

function listed(tokens: VectorTokens["top"]): string {
  return tokens
    .map(({ id, text, logit }) => `${text === undefined ? id : oneLine(text).trim() || "␣"} ${short(Number(logit.toFixed(1)))}`)
    .join("  ")
}
