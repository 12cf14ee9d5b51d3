import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { readdir, readFile, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { configOf, shapeNames } from "../../scripts/checkpoint/shapes.ts"
import type { StoredType } from "../../scripts/checkpoint/normal.ts"
import { writeCheckpoint } from "../../scripts/checkpoint/write.ts"
import { expectedTensors } from "../../src/engine/checkpoint.ts"
import { parseConfig } from "../../src/engine/config.ts"
import { InputError, openCheckpoint, readTensorF32, type TensorEntry } from "../../src/index.ts"
import { openFolder } from "../../src/node.ts"

const scratch = mkdtempSync(join(tmpdir(), "redline-make-checkpoint-"))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

interface Wanted {
  readonly shape?: string
  readonly seed?: number
  readonly type?: StoredType
  readonly shardBytes?: number
}

let made = 0

async function make({ shape = "tiny", seed = 1, type = "BF16", shardBytes = 5e9 }: Wanted): Promise<string> {
  const folder = join(scratch, `${made++}`)
  await writeCheckpoint(folder, { config: configOf(shape) ?? {}, seed, type, shardBytes })
  return folder
}

async function valuesOf(folder: string, wanted: (entry: TensorEntry) => boolean): Promise<Float32Array[]> {
  await using opened = await openFolder(folder)
  const { tensors } = await openCheckpoint(opened)
  return await Promise.all([...tensors.values()].filter(wanted).map(readTensorF32))
}

function moments(values: readonly Float32Array[]): { count: number; mean: number; deviation: number; fourth: number } {
  const count = values.reduce((sum, { length }) => sum + length, 0)
  const power = (p: number): number => values.reduce((sum, some) => some.reduce((s, x) => s + x ** p, sum), 0) / count
  const deviation = Math.sqrt(power(2))
  return { count, mean: power(1), deviation, fourth: power(4) / deviation ** 4 }
}

// Weights of the published models, in millions, as their cards round them.
test.for([
  ["8b", 8030],
  ["3b", 3213],
  ["1b", 1236],
] as const)("%s has the size of the published model", ([name, millions]) => {
  const tensors = expectedTensors(parseConfig(configOf(name), undefined, name))
  const weights = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0)
  expect(Math.round(weights / 1e6)).toBe(millions)
})

test.for(shapeNames)("%s has a config that the engine takes", (name) => {
  expect(parseConfig(configOf(name), undefined, name).layers).toBeGreaterThan(0)
})

test("a small checkpoint is one file that the engine's reader accepts, and has no tokenizer", async () => {
  const folder = await make({})
  expect((await readdir(folder)).sort()).toEqual(["config.json", "generation_config.json", "model.safetensors"])
  await using opened = await openFolder(folder)
  const checkpoint = await openCheckpoint(opened)
  expect(checkpoint.warnings).toEqual([])
  expect(checkpoint.tokenizer).toBeUndefined()
  expect(checkpoint.config.eosIds).toEqual([1])
  expect(new Set([...checkpoint.tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(["BF16"]))
})

test("shards hold what the index says, none above the limit that needs not be, and the same weights", async () => {
  const shardBytes = 200_000
  const [whole, sharded] = [await make({ seed: 3 }), await make({ seed: 3, shardBytes })]
  const index = JSON.parse(await readFile(join(sharded, "model.safetensors.index.json"), "utf8")) as {
    metadata: { total_size: number }
    weight_map: Record<string, string>
  }
  const files = [...new Set(Object.values(index.weight_map))]
  expect(files.length).toBeGreaterThan(3)
  expect(files[0]).toBe(`model-00001-of-0000${files.length}.safetensors`)
  await using opened = await openFolder(sharded)
  const { tensors, bytes, warnings } = await openCheckpoint(opened)
  expect(warnings).toEqual([])
  expect(index.metadata.total_size).toBe(bytes)
  for (const file of files) {
    const own = [...tensors.values()].filter(({ source }) => source.name.endsWith(file))
    const size = own.reduce((sum, { begin, end }) => sum + end - begin, 0)
    expect(own.length === 1 || size <= shardBytes).toBe(true)
  }
  const all = (): boolean => true
  expect(await valuesOf(sharded, all)).toEqual(await valuesOf(whole, all))
})

test.for(["BF16", "F16", "F32"] as const)("matrices in %s are normal with deviation 0.02, norms are 1", async (type) => {
  const folder = await make({ type })
  const { count, mean, deviation, fourth } = moments(await valuesOf(folder, ({ shape }) => shape.length === 2))
  expect(count).toBeGreaterThan(500_000)
  expect(Math.abs(mean)).toBeLessThan((4 * 0.02) / Math.sqrt(count))
  expect(Math.abs(deviation / 0.02 - 1)).toBeLessThan(0.005)
  expect(Math.abs(fourth - 3)).toBeLessThan(0.05) // a normal distribution's
  const norms = await valuesOf(folder, ({ shape }) => shape.length === 1)
  expect(norms.every((values) => values.every((x) => x === 1))).toBe(true)
})

test("tensors do not repeat one another, nor themselves from row to row", async () => {
  const matrices = await valuesOf(await make({}), ({ shape }) => shape.length === 2)
  const rows = matrices.flatMap((values) => [values.slice(0, 32), values.slice(128, 160)])
  expect(new Set(rows.map((row) => row.join())).size).toBe(rows.length)
})

test("a seed decides the bytes", async () => {
  const [first, again, other] = await Promise.all([make({ seed: 5 }), make({ seed: 5 }), make({ seed: 6 })])
  const bytes = (folder: string): Promise<Buffer> => readFile(join(folder, "model.safetensors"))
  expect((await bytes(first)).equals(await bytes(again))).toBe(true)
  expect((await bytes(first)).equals(await bytes(other))).toBe(false)
})

test("a folder that holds a model stays as it is", async () => {
  const folder = await make({})
  await writeFile(join(folder, "notes.txt"), "mine")
  const before = (await readdir(folder)).sort()
  const again = writeCheckpoint(folder, { config: configOf("tiny") ?? {}, seed: 1, type: "BF16", shardBytes: 5e9 })
  await expect(again).rejects.toThrow(InputError)
  expect((await readdir(folder)).sort()).toEqual(before)
})

test.for([
  ["9b DIR", 2, "", "make-checkpoint: expected a shape, one of 8b, 3b, 1b, 100m, tiny, tiny-tied, found «9b»\n"],
  ["tiny DIR --dtype q4", 2, "", "make-checkpoint: --dtype: expected bf16, f16, f32, found «q4»\n"],
  ["tiny DIR --layers 1 --shard-size 300KB", 0, "DIR: 0.44 million weights, 0.001 GB in 4 files, ", ""],
] as const)("make-checkpoint %s", ([args, code, out, error]) => {
  const [run, program] = ["run.mjs", "make-checkpoint.ts"].map((name) => join(import.meta.dirname, "../../scripts", name))
  const folder = join(scratch, `${made++}`)
  const words = args.split(" ").map((word) => word.replace("DIR", folder))
  const result = spawnSync(process.execPath, [run as string, program as string, ...words], { encoding: "utf8" })
  expect([result.status, result.stderr]).toEqual([code, error])
  expect(result.stdout.replace(folder, "DIR").slice(0, out.length)).toBe(out)
})

test("a config of another kind of model is refused before anything is written", async () => {
  const folder = join(scratch, "gpt2")
  const options = { config: { architectures: ["GPT2LMHeadModel"] }, seed: 1, type: "BF16", shardBytes: 5e9 } as const
  await expect(writeCheckpoint(folder, options)).rejects.toThrow("expected LlamaForCausalLM, found GPT2LMHeadModel")
  await expect(readdir(folder)).rejects.toThrow("ENOENT")
})
