/** Trains the embedded models' vectors of every topic, so that a page need not: node scripts/run.mjs scripts/make-vectors.ts */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { parsePairs, trainVector } from "../src/index.ts"
import { loadModel, openDevice } from "../src/node.ts"

const models = join(import.meta.dirname, "../models")
const pairs = join(models, "tiny-talk/pairs")

using device = await openDevice()
for (const name of ["tiny-talk", "tiny-talk-instruct"]) {
  using model = await loadModel(join(models, name), { device })
  await mkdir(join(models, name, "vectors"), { recursive: true })
  for (const file of await readdir(pairs)) {
    const topic = file.replace(/\.jsonl$/, "")
    const both = parsePairs(await readFile(join(pairs, file), "utf8"))
    // As the demo says it of those that it trains itself.
    const vector = await trainVector(model, both, { createdFrom: `${both.length} pairs of ${topic}` })
    await writeFile(join(models, name, "vectors", `${topic}.safetensors`), vector.toSafetensors())
    process.stdout.write(`${name}: ${topic}\n`)
  }
}
