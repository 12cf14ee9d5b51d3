import { readdir, readFile } from "node:fs/promises"
import { basename, extname, join, resolve } from "node:path"
import { decodeText } from "../engine/bytes.ts"
import { InputError } from "../engine/errors.ts"
import { parsePairs } from "../steering/pairs.ts"
import type { SteeringVector } from "../steering/vector.ts"
import { readVector } from "../steering/vector-file.ts"
import type { ModelSource, NamedVector } from "../web/backend.ts"
import { fileSource, openFolder } from "./files.ts"
import { hashModel } from "./run-folder.ts"

/** Models on disk. Close them when nothing is loaded from them any more. */
export interface DiskModels extends AsyncDisposable {
  readonly sources: readonly ModelSource[]
}

/**
 * Opens models' folders, each by the last part of its path. The first line of a prompts.txt there is the prompt to begin with.
 * @param layers To steer at unless told; a model's middle third otherwise.
 * @throws InputError for a folder that is not there, or two of the same name.
 */
export async function openModels(paths: readonly string[], layers?: readonly number[]): Promise<DiskModels> {
  const names = paths.map((path) => basename(resolve(path)))
  const twice = names.findIndex((name, i) => names.indexOf(name) < i)
  if (twice >= 0)
    throw new InputError({ where: paths[twice] as string, expected: "a name of its own", found: `a second ${names[twice]}` })
  const folders = await Promise.all(paths.map(openFolder))
  const sources = folders.map(async (folder, i): Promise<ModelSource> => {
    const name = names[i] as string
    const prompt = (await folder.readText("prompts.txt"))?.split(/\r?\n/)[0]?.trim()
    let hash: Promise<string> | undefined
    const sha256 = (): Promise<string> => (hash ??= hashModel(folder.name))
    // Visitors read messages: they are told the model's name, not where it lies.
    return { name, folder: { ...folder, name }, layers, sha256, ...(prompt && { prompt }) }
  })
  return {
    sources: await Promise.all(sources),
    async [Symbol.asyncDispose]() {
      await Promise.all(folders.map((folder) => folder.close()))
    },
  }
}

/** The vector of a topic's pairs that was trained on a model before, where it was. */
export type Trained = (model: string, topic: string) => Promise<SteeringVector | undefined>

/** Vectors trained before on models in these folders, each folder's in its vectors/TOPIC.safetensors. */
export function trainedIn(paths: readonly string[]): Trained {
  const folders = new Map(paths.map((path) => [basename(resolve(path)), path]))
  return async (model, topic) => {
    const folder = folders.get(model)
    if (folder === undefined) return undefined
    await using source = await fileSource(join(folder, "vectors", `${topic}.safetensors`))
    return await readVector(source)
  }
}

/**
 * The vectors of a folder: steering vectors (.safetensors, .gguf) by their files' names, contrast pairs (.jsonl) by their topic.
 * @param trained Of the pairs; they are trained where it gives none.
 * @throws InputError for a folder without any, or a file that is none.
 */
export async function readVectors(folder: string, trained: Trained = async () => undefined): Promise<NamedVector[]> {
  await using _ = await openFolder(folder) // says what is wrong with it
  const vectors: NamedVector[] = []
  for (const file of (await readdir(folder)).sort()) {
    const path = join(folder, file)
    if (/\.(safetensors|gguf)$/i.test(file)) {
      await using source = await fileSource(path)
      vectors.push({ name: file, vector: await readVector(source) })
    } else if (extname(file) === ".jsonl") {
      const pairs = parsePairs(decodeText(await readFile(path), path), path)
      const topic = basename(file, ".jsonl")
      vectors.push({ name: topic, topic, pairs: async () => pairs, trained: (model) => trained(model, topic) })
    }
  }
  if (vectors.length > 0) return vectors
  const expected = "steering vectors (.safetensors, .gguf) or contrast pairs (.jsonl)"
  throw new InputError({ where: folder, expected, found: "none" })
}
