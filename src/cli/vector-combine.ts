import { combine, encodeVector, warningsAmong } from "../index.ts"
import { writeFileAtomic } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { checkedOut } from "./files.ts"
import { ranges } from "./text.ts"
import { describeVector, naming, readVectorFile } from "./vectors.ts"
import { parseWeightedFile } from "./vector-spec.ts"

export const vectorCombine: Command = {
  name: "vector combine",
  summary: "the weighted sum of vectors, over the union of their layers",
  operands: {
    value: "FILE[:WEIGHT] …",
    help: "vectors, each with what it is multiplied with; 1 unless told",
    least: 1,
    most: Infinity,
  },
  options: { out: { value: "FILE", help: "write the sum there (.safetensors or .gguf)" } },
  notes: [
    "Where a vector has no direction for a layer it counts as zero. With one vector alone it is scaled: FILE:-1 turns it round. Vectors " +
      "of different widths are refused; models of different names are noted.",
    "JSON: { vector: { modelHint, method, createdFrom, layers, norms }, parts: [{ file, weight }], out }.",
  ],
  examples: ["redline vector combine --out calm-not-sad.gguf calm.gguf sad.gguf:-0.5"],
  run,
}

async function run({ options, terminal }: Context): Promise<void> {
  const parts = options.operands.map(parseWeightedFile)
  const out = await checkedOut(options.required("out", "name the sum's file"), ["safetensors", "gguf"])
  const vectors = []
  for (const { file } of parts) vectors.push((await readVectorFile(file)).vector)
  const sum = combine(vectors.map((vector, i) => [vector, parts[i]?.weight as number]))
  for (const warning of warningsAmong(vectors)) terminal.note(`note: ${warning}`)
  const bytes = naming(out, () => encodeVector(sum, out))
  await writeFileAtomic(out, bytes)
  if (terminal.json) return terminal.document({ vector: describeVector(sum), parts, out })
  terminal.print(`${out}: ${sum.metadata.createdFrom}, layers ${ranges(sum.layers)}, width ${sum.width}`)
}
