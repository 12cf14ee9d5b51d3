// Writes a Llama model's folder as the GGUF file that llama.cpp reads:
//   node scripts/run.mjs scripts/make-gguf.ts DIR FILE
//   node scripts/run.mjs scripts/make-gguf.ts DIR FILE --dtype f32
import { basename, resolve } from "node:path"
import { InputError, openCheckpoint } from "../src/index.ts"
import { assertWritable, openFolder } from "../src/node.ts"
import { writeGguf } from "./gguf/write.ts"
import { parseScript, runScript } from "./program.ts"

const NAME = "make-gguf"

await runScript(NAME, async () => {
  const options = parseScript(NAME, process.argv.slice(2), { dtype: "stored" }, ["DIR", "FILE"])
  const [model, file] = options.operands
  if (model === undefined || file === undefined) {
    throw new InputError({ where: NAME, expected: "a model's folder and a file", found: `«${options.operands.join(" ")}»` })
  }
  const dtype = options.text("dtype") as string
  if (dtype !== "stored" && dtype !== "f32") {
    throw new InputError({ where: "--dtype", expected: "stored or f32", found: `«${dtype}»` })
  }
  await assertWritable(file)
  await using folder = await openFolder(model)
  const checkpoint = await openCheckpoint(folder)
  const started = performance.now()
  const bytes = await writeGguf(file, checkpoint, { f32: dtype === "f32", name: basename(resolve(model)), onProgress })
  const seconds = (performance.now() - started) / 1000
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K")
  process.stdout.write(`${file}: ${(bytes / 1e9).toFixed(3)} GB, ${seconds.toFixed(1)} s\n`)
})

function onProgress(done: number, total: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${(done / 1e9).toFixed(1)} of ${(total / 1e9).toFixed(1)} GB`)
}
