import { type FileHandle, readdir } from "node:fs/promises"
import { join } from "node:path"
import { expectedTensors, type ExpectedTensor } from "../../src/engine/checkpoint.ts"
import { parseConfig } from "../../src/engine/config.ts"
import { InputError } from "../../src/index.ts"
import { makeFolder, writeFileAtomic } from "../../src/node.ts"
import { assertRoom, writeAll, writeLarge } from "./large-file.ts"
import { NormalBits, onesWord, type StoredType, storedBytes } from "./normal.ts"
import type { ConfigFile } from "./shapes.ts"

export interface CheckpointOptions {
  /** config.json as it is to be written, but for its dtype. */
  readonly config: ConfigFile
  readonly seed: number
  readonly type: StoredType
  /** Bytes of a shard's tensors at most, where they are several. */
  readonly shardBytes: number
  readonly onProgress?: (done: number, total: number) => void
}

export interface MadeCheckpoint {
  /** Names of the weights' files. */
  readonly shards: readonly string[]
  /** Of all tensors. */
  readonly bytes: number
  readonly parameters: number
}

/** Two of them, in turns: one is filled while the other is written. */
const BUFFER_BYTES = 8 * 2 ** 20
/** Of every matrix: what Llama's own training begins with. */
const DEVIATION = 0.02
const DTYPES: Readonly<Record<StoredType, string>> = { BF16: "bfloat16", F16: "float16", F32: "float32" }

/**
 * Writes a random Llama-shaped checkpoint in Hugging Face's layout, without a tokenizer: matrices are normal, norms are 1. A
 * tensor's bytes depend on the seed and its name alone. Every file appears whole, config.json last.
 * @throws InputError for a config of another kind of model, a folder that holds one, or a disk without room.
 */
export async function writeCheckpoint(folder: string, options: CheckpointOptions): Promise<MadeCheckpoint> {
  const { config, type, shardBytes } = options
  const tensors = expectedTensors(parseConfig(config, undefined, "config.json"))
  const bytesOf = ({ shape }: ExpectedTensor): number => elements(shape) * storedBytes[type]
  const bytes = tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0)
  await makeFolder(folder)
  await assertEmpty(folder)
  await assertRoom(folder, bytes)
  const shards = cutShards(tensors, bytesOf, shardBytes)
  const names = shards.map((_, i) => shardName(i, shards.length))
  const writer = new ShardWriter(options, bytes)
  for (const [i, shard] of shards.entries()) await writer.write(join(folder, names[i] as string), shard)
  if (shards.length > 1) {
    const weightMap = Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]])))
    const index = { metadata: { total_size: bytes }, weight_map: weightMap }
    await writeFileAtomic(join(folder, "model.safetensors.index.json"), json(index))
  }
  const { bos_token_id, eos_token_id } = config
  await writeFileAtomic(join(folder, "generation_config.json"), json({ _from_model_config: true, bos_token_id, eos_token_id }))
  await writeFileAtomic(join(folder, "config.json"), json({ ...config, torch_dtype: DTYPES[type] }))
  return { shards: names, bytes, parameters: bytes / storedBytes[type] }
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`
const elements = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1)
const shardName = (i: number, count: number): string => {
  const five = (n: number): string => String(n).padStart(5, "0")
  return count === 1 ? "model.safetensors" : `model-${five(i + 1)}-of-${five(count)}.safetensors`
}

/** Deals tensors out in their order: a shard ends before the tensor that would make it too large. */
function cutShards(
  tensors: readonly ExpectedTensor[],
  bytesOf: (tensor: ExpectedTensor) => number,
  most: number,
): ExpectedTensor[][] {
  const shards: ExpectedTensor[][] = []
  let bytes = Infinity
  for (const tensor of tensors) {
    if (bytes + bytesOf(tensor) > most) {
      shards.push([])
      bytes = 0
    }
    shards.at(-1)?.push(tensor)
    bytes += bytesOf(tensor)
  }
  return shards
}

async function assertEmpty(folder: string): Promise<void> {
  const found = (await readdir(folder)).find((name) => name.endsWith(".safetensors") || name === "config.json")
  if (found === undefined) return
  throw new InputError({ where: folder, expected: "a folder without a model", found, todo: "name another folder" })
}

class ShardWriter {
  readonly #options: CheckpointOptions
  readonly #total: number
  readonly #normal: NormalBits
  readonly #buffers = [new Uint32Array(BUFFER_BYTES / 4), new Uint32Array(BUFFER_BYTES / 4)] as const
  #turn = 0
  #done = 0

  constructor(options: CheckpointOptions, total: number) {
    this.#options = options
    this.#total = total
    this.#normal = new NormalBits(options.type, DEVIATION)
  }

  async write(path: string, tensors: readonly ExpectedTensor[]): Promise<void> {
    await writeLarge(path, async (handle) => {
      await writeAll(handle, header(tensors, this.#options.type))
      await this.#writeTensors(handle, tensors)
    })
  }

  async #writeTensors(handle: FileHandle, tensors: readonly ExpectedTensor[]): Promise<void> {
    const { seed, type, onProgress } = this.#options
    let writing = Promise.resolve()
    for (const { name, shape } of tensors) {
      this.#normal.begin(seed, name)
      const bytes = elements(shape) * storedBytes[type]
      for (let at = 0; at < bytes; at += BUFFER_BYTES) {
        const size = Math.min(BUFFER_BYTES, bytes - at)
        const buffer = this.#buffers[this.#turn++ % 2] as Uint32Array
        const words = buffer.subarray(0, Math.ceil(size / 4))
        if (shape.length === 1) words.fill(onesWord(type))
        else this.#normal.fill(words)
        await writing // of the other buffer
        writing = writeAll(handle, new Uint8Array(words.buffer, 0, size))
        writing.catch(() => {}) // seen by the next await
        this.#done += size
        onProgress?.(this.#done, this.#total)
      }
    }
    await writing
  }
}

/** The length of a shard's header and the header, padded to 8 bytes. */
function header(tensors: readonly ExpectedTensor[], type: StoredType): Uint8Array {
  const entries: Record<string, unknown> = { __metadata__: { format: "pt" } }
  let end = 0
  for (const { name, shape } of tensors) {
    const begin = end
    end += elements(shape) * storedBytes[type]
    entries[name] = { dtype: type, shape, data_offsets: [begin, end] }
  }
  const text = JSON.stringify(entries)
  const padded = text.padEnd(Math.ceil(text.length / 8) * 8)
  const bytes = new Uint8Array(8 + padded.length)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded.length), true)
  bytes.set(new TextEncoder().encode(padded), 8)
  return bytes
}
