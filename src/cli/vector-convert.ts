import { encodeVector, vectorFormat } from "../index.ts"
import { assertWritable, writeFileAtomic } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { layersOption } from "./layers.ts"
import { describeVector, naming, readVectorFile } from "./vectors.ts"

export const vectorConvert: Command = {
  name: "vector convert",
  summary: "a vector from safetensors to GGUF or back, bit for bit",
  operands: {
    value: "FROM TO",
    help: "two files; their names' endings, .safetensors or .gguf, say the format",
    least: 2,
    most: 2,
  },
  options: { layers: { value: "LAYERS", help: "of the vector's 0-based layers, such as 1-5,7; all of them unless told" } },
  notes: [
    "GGUF is the control vectors of repeng and llama.cpp. It has no place for layer 0: choose others with --layers. Of a GGUF file with " +
      "several directions for a layer their sum is taken, as llama.cpp does.",
    "JSON: { vector: { modelHint, method, createdFrom, layers, norms }, from, out }.",
  ],
  examples: [
    "redline vector convert wedding.safetensors wedding.gguf",
    "redline vector convert models/tiny-talk/vectors/wedding.safetensors wedding.gguf --layers 1-5",
  ],
  run,
}

async function run({ options, terminal }: Context): Promise<void> {
  const [from, out] = options.operands as readonly [string, string]
  vectorFormat(out)
  const { vector } = await readVectorFile(from, layersOption(options))
  const bytes = naming(out, () => encodeVector(vector, out))
  await assertWritable(out)
  await writeFileAtomic(out, bytes)
  if (terminal.json) return terminal.document({ vector: describeVector(vector), from, out })
  terminal.note(`wrote ${out}`)
}
