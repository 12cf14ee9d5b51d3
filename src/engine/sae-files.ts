import * as z from "zod"
import { type Folder, readJson } from "./bytes.ts"
import { InputError } from "./errors.ts"
import { checkShape, show } from "./json.ts"
import { readSafetensors, type TensorEntry } from "./safetensors.ts"

/** The sizes of a sparse autoencoder. */
export interface SaeConfig {
  /** The size of the residual stream. */
  readonly width: number
  /** Features. */
  readonly latents: number
  /** Features that a row keeps. */
  readonly k: number
}

/** A sparse autoencoder's files, checked; no weight has been read. */
export interface SaeFiles extends SaeConfig {
  /** The folder's name and the layer's within it. */
  readonly name: string
  readonly layer: number
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** Bytes of the tensors. */
  readonly bytes: number
}

const FETCH_AGAIN = "fetch the autoencoder again"
const PRECISIONS: readonly string[] = ["F32", "F16", "BF16"]
/** Layers that are looked for where the wanted one is absent, so that the message can name those that are there. */
const MOST_LAYERS = 128

const count = (least: number): z.ZodNumber => z.int(`a whole number from ${least}`).min(least, `a whole number from ${least}`)
const configShape = z.object(
  {
    d_in: count(1),
    k: count(1),
    num_latents: count(0).nullish(),
    expansion_factor: count(1).nullish(),
    // What these ask for is another forward pass than this one. Where it is wrong to ignore them, they are refused.
    activation: z.literal("topk", '"topk", the one activation that is computed').nullish(),
    signed: z.literal(false, "false: features are rectified").nullish(),
    transcode: z.literal(false, "false: an autoencoder, not a transcoder").nullish(),
    skip_connection: z.literal(false, "false: no skip connection").nullish(),
    embed_skip: z.literal(false, "false: no skip connection").nullish(),
    gram_lookup: z.literal(false, "false: no table of means").nullish(),
  },
  "an object",
)

/**
 * Reads and checks one layer of a folder in EleutherAI's layout: `layers.N/cfg.json` and `layers.N/sae.safetensors` with
 * encoder.weight [latents, width], encoder.bias [latents], W_dec [latents, width] and b_dec [width], in F32, F16 or BF16
 * (https://github.com/EleutherAI/sparsify). Other tensors and fields are ignored.
 * @param width the model's, where it is known
 * @throws InputError for a layer or file that is absent, a tensor that is missing or misshapen, another width than the model's,
 * or a kind of autoencoder that is none of this one's.
 */
export async function openSae(folder: Folder, layer: number, width?: number): Promise<SaeFiles> {
  if (!Number.isInteger(layer) || layer < 0) {
    throw new InputError({ where: "layer", expected: "a whole number from 0", found: `${layer}` })
  }
  const path = `layers.${layer}`
  const where = `${folder.name}/${path}/cfg.json`
  const value = await readJson(folder, `${path}/cfg.json`)
  if (value === undefined) throw await layerAbsent(folder, path)
  const config = readConfig(value, where)
  if (width !== undefined && config.width !== width) {
    const todo = "choose an autoencoder of this model"
    throw new InputError({ where: `${where}, d_in`, expected: `${width}, the model's width`, found: `${config.width}`, todo })
  }
  const source = await folder.open(`${path}/sae.safetensors`)
  if (!source) {
    const file = `${folder.name}/${path}/sae.safetensors`
    throw new InputError({ where: file, expected: "the layer's weights", found: "no such file", todo: FETCH_AGAIN })
  }
  const found = (await readSafetensors(source)).tensors
  const tensors = checkTensors(found, config, `${folder.name}/${path}/sae.safetensors`)
  const bytes = [...tensors.values()].reduce((sum, { begin, end }) => sum + end - begin, 0)
  return { name: `${folder.name}/${path}`, layer, ...config, tensors, bytes }
}

function readConfig(value: unknown, where: string): SaeConfig {
  const { d_in: width, k, num_latents: given, expansion_factor: factor } = checkShape(configShape, value, where)
  const latents = given || width * (factor ?? 0)
  if (latents === 0) {
    throw new InputError({ where, expected: "num_latents or expansion_factor", found: "neither", todo: FETCH_AGAIN })
  }
  if (k > latents) throw new InputError({ where: `${where}, k`, expected: `at most ${latents}, the latents`, found: `${k}` })
  return { width, latents, k }
}

function checkTensors(
  found: ReadonlyMap<string, TensorEntry>,
  { width, latents }: SaeConfig,
  where: string,
): ReadonlyMap<string, TensorEntry> {
  const expected: readonly (readonly [name: string, shape: readonly number[]])[] = [
    ["encoder.weight", [latents, width]],
    ["encoder.bias", [latents]],
    ["W_dec", [latents, width]],
    ["b_dec", [width]],
  ]
  const tensors = new Map<string, TensorEntry>()
  for (const [name, shape] of expected) {
    const entry = found.get(name)
    const fail = (wanted: string, what: string): InputError =>
      new InputError({ where: `${where}, tensor ${name}`, expected: wanted, found: what, todo: FETCH_AGAIN })
    if (!entry) throw fail(`shape ${show(shape)}`, "no such tensor")
    if (entry.shape.join() !== shape.join()) throw fail(`shape ${show(shape)}, as cfg.json says`, show(entry.shape))
    if (!PRECISIONS.includes(entry.dtype)) throw fail(PRECISIONS.join(", "), entry.dtype)
    tensors.set(name, entry)
  }
  return tensors
}

async function layerAbsent(folder: Folder, path: string): Promise<InputError> {
  const where = `${folder.name}/${path}/cfg.json`
  const layers = await layersOf(folder)
  const todo = layers.length > 0 ? `choose one of its layers: ${layers.join(", ")}` : "name a folder that holds layers.N/cfg.json"
  return new InputError({ where, expected: "a sparse autoencoder in EleutherAI's layout", found: "no such file", todo })
}

/** The layers that the folder has, ascending, of 0 to 127. */
async function layersOf(folder: Folder): Promise<number[]> {
  const layers = Array.from({ length: MOST_LAYERS }, (_, layer) => layer)
  const there = await Promise.all(layers.map((layer) => folder.readText(`layers.${layer}/cfg.json`).catch(() => undefined)))
  return layers.filter((layer) => there[layer] !== undefined)
}
