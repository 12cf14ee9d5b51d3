import type { FileHandle } from "node:fs/promises"
import { dirname } from "node:path"
import { readJson } from "../../src/engine/bytes.ts"
import { readTensorF32, type TensorEntry } from "../../src/engine/safetensors.ts"
import type { Checkpoint } from "../../src/index.ts"
import { layOutGguf } from "../../src/steering/gguf-write.ts"
import { assertRoom, writeAll, writeLarge } from "../checkpoint/large-file.ts"
import { type ConvertedTensor, convertedTensors, interleaved, shapeMetadata } from "./llama.ts"
import { tokenizerMetadata } from "./tokenizer.ts"

export interface GgufOptions {
  /** Whether matrices become F32; otherwise they stay as they are stored. */
  readonly f32: boolean
  /** `general.name`. */
  readonly name: string
  readonly onProgress?: (done: number, total: number) => void
}

/** Bytes that are read at once. */
const PIECE = 8 * 2 ** 20

/**
 * Writes a model as llama.cpp reads it, tensor by tensor. The file appears whole.
 * @returns its bytes
 * @throws InputError for a tokenizer of another kind than Llama 3's, or a disk without room.
 */
export async function writeGguf(path: string, checkpoint: Checkpoint, options: GgufOptions): Promise<number> {
  const { config, folder } = checkpoint
  const tensors = convertedTensors(checkpoint, options.f32)
  const tokenizer = tokenizerMetadata(checkpoint, await readJson(folder, "tokenizer.json"), `${folder.name}/tokenizer.json`)
  const metadata = [...shapeMetadata(config, options.name, tensors), ...tokenizer]
  const { header, offsets, bytes } = layOutGguf(metadata, tensors)
  await assertRoom(dirname(path), bytes)
  await writeLarge(path, async (handle) => {
    await writeAll(handle, header)
    let at = header.length
    for (const [i, tensor] of tensors.entries()) {
      const offset = offsets[i] as number
      await writeAll(handle, new Uint8Array(offset - at))
      at = offset + (await writeTensor(handle, tensor))
      options.onProgress?.(at, bytes)
    }
    await writeAll(handle, new Uint8Array(bytes - at))
  })
  return bytes
}

async function writeTensor(handle: FileHandle, { from, type }: ConvertedTensor): Promise<number> {
  if (from.kind === "values") {
    await writeAll(handle, new Uint8Array(from.values.buffer))
    return from.values.byteLength
  }
  const { entry } = from
  // A head at a time where rows change places.
  const [rows = 1] = entry.shape
  const piece = from.kind === "heads" ? ((entry.end - entry.begin) / rows) * from.headDim : PIECE
  let written = 0
  for (let begin = entry.begin; begin < entry.end; begin += piece) {
    const read = await readPiece({ ...entry, begin, end: Math.min(entry.end, begin + piece) }, type)
    const bytes = from.kind === "heads" ? interleaved(read, from.headDim) : read
    await writeAll(handle, bytes)
    written += bytes.length
  }
  return written
}

async function readPiece(entry: TensorEntry, type: ConvertedTensor["type"]): Promise<Uint8Array> {
  if (entry.dtype === type) return new Uint8Array(await entry.source.slice(entry.begin, entry.end))
  return new Uint8Array((await readTensorF32(entry)).buffer)
}
