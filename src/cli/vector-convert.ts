import { encodeVector, vectorFormat } from "../index.ts"
import { assertWritable, writeFileAtomic } from "../node.ts"
import type { Command, Context } from "./command.ts"
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
  options: {},
  notes: [
    "GGUF is the control vectors of repeng and llama.cpp. It has no place for layer 0: such a vector is refused. Of a GGUF file with " +
      "several directions for a layer their sum is taken, as llama.cpp does.",
    "JSON: { vector: { modelHint, method, createdFrom, layers, norms }, from, out }.",
  ],
  examples: ["redline vector convert wedding.safetensors wedding.gguf"],
  run,
}

async function run({ options, terminal }: Context): Promise<void> {
  const [from, out] = options.operands as readonly [string, string]
  vectorFormat(out)
  const { vector } = await readVectorFile(from)
  const bytes = naming(out, () => encodeVector(vector, out))
  await assertWritable(out)
  await writeFileAtomic(out, bytes)
  if (terminal.json) return terminal.document({ vector: describeVector(vector), from, out })
  terminal.note(`wrote ${out}`)
}
