// Writes a random Llama-shaped checkpoint of any size, for benchmarks; it has no tokenizer, its prompts are ids:
//   node scripts/run.mjs scripts/make-checkpoint.ts 8b DIR
//   node scripts/run.mjs scripts/make-checkpoint.ts --config config.json DIR
import { readFile } from "node:fs/promises"
import { count, type Options, wholeNumber } from "../src/cli/options.ts"
import { parseJson } from "../src/engine/json.ts"
import { InputError } from "../src/index.ts"
import type { StoredType } from "./checkpoint/normal.ts"
import { type ConfigFile, configOf, shapeNames } from "./checkpoint/shapes.ts"
import { writeCheckpoint } from "./checkpoint/write.ts"
import { parseScript, runScript } from "./program.ts"

const NAME = "make-checkpoint"
const TYPES: Readonly<Record<string, StoredType>> = { bf16: "BF16", f16: "F16", f32: "F32" }
const UNITS: Readonly<Record<string, number>> = { KB: 1e3, MB: 1e6, GB: 1e9 }
const names = shapeNames.join(", ")

await runScript(NAME, async () => {
  const defaults = { "config": undefined, "layers": undefined, "seed": "1", "dtype": "bf16", "shard-size": "5GB" }
  const options = parseScript(NAME, process.argv.slice(2), defaults, ["SHAPE", "DIR"])
  const named = options.has("config") ? undefined : options.operands[0]
  const folder = options.operands[options.has("config") ? 0 : 1]
  if (folder === undefined || (options.has("config") && options.operands.length > 1)) {
    const expected = "a shape and a folder, or --config FILE and a folder"
    throw new InputError({ where: NAME, expected, found: `«${options.operands.join(" ")}»`, todo: `shapes: ${names}` })
  }
  const layers = options.number("layers", count)
  const config = { ...(await configFrom(options, named)), ...(layers === undefined ? {} : { num_hidden_layers: layers }) }
  const type = typeOf(options.text("dtype") as string)
  const seed = options.number("seed", wholeNumber) as number
  const started = performance.now()
  const made = await writeCheckpoint(folder, { config, seed, type, shardBytes: bytesOf(options), onProgress })
  const seconds = (performance.now() - started) / 1000
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K")
  const size = `${(made.parameters / 1e6).toFixed(made.parameters < 1e8 ? 2 : 0)} million weights, ${(made.bytes / 1e9).toFixed(3)} GB`
  const speed = `${seconds.toFixed(1)} s, ${(made.bytes / 1e9 / seconds).toFixed(2)} GB/s`
  process.stdout.write(`${folder}: ${size} in ${made.shards.length} file${made.shards.length === 1 ? "" : "s"}, ${speed}\n`)
})

async function configFrom(options: Options, name: string | undefined): Promise<ConfigFile> {
  const path = options.text("config")
  if (path === undefined) {
    const config = configOf(name ?? "")
    if (config) return config
    throw new InputError({ where: NAME, expected: `a shape, one of ${names}`, found: `«${name}»` })
  }
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new InputError({ where: path, expected: "a readable file", found: (error as Error).message }, { cause: error })
  })
  const config = parseJson(text, path)
  if (typeof config === "object" && config !== null) return config as ConfigFile
  throw new InputError({ where: path, expected: "an object", found: text.slice(0, 40) })
}

function typeOf(name: string): StoredType {
  const type = Object.hasOwn(TYPES, name) ? TYPES[name] : undefined
  if (type) return type
  throw new InputError({ where: "--dtype", expected: Object.keys(TYPES).join(", "), found: `«${name}»` })
}

function bytesOf(options: Options): number {
  const text = options.text("shard-size") as string
  const [, digits = "", unit = ""] = /^(\d+(?:\.\d+)?)(KB|MB|GB)$/.exec(text) ?? []
  const bytes = Number(digits) * (UNITS[unit] ?? 0)
  if (bytes > 0) return bytes
  throw new InputError({ where: "--shard-size", expected: "a size such as 5GB or 200MB", found: `«${text}»` })
}

function onProgress(done: number, total: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${(done / 1e9).toFixed(1)} of ${(total / 1e9).toFixed(1)} GB`)
}
