// The last logits of a prompt in float64, by the plain loops that the tests compare kernels with, for checkpoints of any size:
//   node scripts/run.mjs scripts/reference-logits.ts DIR --ids 1,17,290 --out reference.json
//   npm run bench -- logits --model DIR --against reference.json
// --vector V.json --layer L --coefficient C steers, as there. A model of 1B takes some 3 s a token.
import { join } from "node:path"
import type { Options } from "../src/cli/options.ts"
import { InputError } from "../src/index.ts"
import { assertWritable, writeFileAtomic } from "../src/node.ts"
import { type ReferenceConfig, ReferenceLlama } from "../test/reference/llama.ts"
import { StoredTensors } from "../test/reference/stored-tensors.ts"
import { ADDED_VECTOR, addedVector } from "./added-vector.ts"
import { parseScript, readJson, runScript } from "./program.ts"

const NAME = "reference-logits"

await runScript(NAME, async () => {
  const defaults = { ids: undefined, out: undefined, ...ADDED_VECTOR }
  const options = parseScript(NAME, process.argv.slice(2), defaults, ["DIR"])
  const [folder] = options.operands
  if (folder === undefined) throw new InputError({ where: NAME, expected: "a model's folder", found: "nothing" })
  const ids = idsOf(options)
  const out = options.required("out", "name the JSON to write")
  await assertWritable(out)
  const added = await addedVector(options)
  const config = (await readJson(join(folder, "config.json"))) as ReferenceConfig
  using tensors = new StoredTensors(folder)
  const { logits } = new ReferenceLlama(config, tensors).forward(ids, { steering: added ? [added] : [] })
  await writeFileAtomic(out, JSON.stringify({ ids, logits: Array.from(logits.at(-1) ?? []) }))
})

function idsOf(options: Options): number[] {
  const text = options.required("ids", "give the prompt, such as --ids 1,17,290")
  if (/^\d+(,\d+)*$/.test(text)) return text.split(",").map(Number)
  throw new InputError({ where: "--ids", expected: "token ids such as 1,17,290", found: `«${text}»` })
}
