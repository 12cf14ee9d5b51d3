import * as z from "zod"
import { readJson, type Folder } from "./bytes.ts"
import { ChatTemplate } from "./chat.ts"
import { parseConfig, type LlamaConfig } from "./config.ts"
import { InputError } from "./errors.ts"
import { checkShape, show } from "./json.ts"
import { readSafetensors, type Dtype, type SafetensorsFile, type TensorEntry } from "./safetensors.ts"
import { Tokenizer } from "./tokenizer.ts"

/** A model's files, checked; no weight has been read. The folder's files must stay open until they are. */
export interface Checkpoint {
  readonly folder: Folder
  readonly config: LlamaConfig
  /** The model's tensors, no others, by the names of {@link expectedTensors}. */
  readonly tensors: ReadonlyMap<string, TensorEntry>
  /** Undefined when the folder has none: the model then runs on ids. */
  readonly tokenizer: Tokenizer | undefined
  /** Undefined when the folder has none: a base model. */
  readonly chat: ChatTemplate | undefined
  /** What is odd but does no harm, a line each. */
  readonly warnings: readonly string[]
  /** Bytes of the model's tensors. */
  readonly bytes: number
}

export interface ExpectedTensor {
  readonly name: string
  readonly shape: readonly number[]
}

const SINGLE = "model.safetensors"
const INDEX = "model.safetensors.index.json"
const FETCH_AGAIN = "fetch the model again"
const WEIGHTS: readonly Dtype[] = ["F32", "F16", "BF16"]

const indexShape = z.object(
  { weight_map: z.record(z.string(), z.string("a shard's name"), "an object that maps tensors to shards") },
  "an object",
)

/** The tensors of a Llama model, in the order of the forward pass. */
export function expectedTensors(config: LlamaConfig): ExpectedTensor[] {
  const { vocabSize, hiddenSize, intermediateSize, heads, kvHeads, headDim } = config
  const inLayer: [string, number[]][] = [
    ["input_layernorm", [hiddenSize]],
    ["self_attn.q_proj", [heads * headDim, hiddenSize]],
    ["self_attn.k_proj", [kvHeads * headDim, hiddenSize]],
    ["self_attn.v_proj", [kvHeads * headDim, hiddenSize]],
    ["self_attn.o_proj", [hiddenSize, heads * headDim]],
    ["post_attention_layernorm", [hiddenSize]],
    ["mlp.gate_proj", [intermediateSize, hiddenSize]],
    ["mlp.up_proj", [intermediateSize, hiddenSize]],
    ["mlp.down_proj", [hiddenSize, intermediateSize]],
  ]
  const tensors: ExpectedTensor[] = [{ name: "model.embed_tokens.weight", shape: [vocabSize, hiddenSize] }]
  for (let layer = 0; layer < config.layers; layer++) {
    for (const [part, shape] of inLayer) tensors.push({ name: `model.layers.${layer}.${part}.weight`, shape })
  }
  tensors.push({ name: "model.norm.weight", shape: [hiddenSize] })
  if (!config.tiedEmbeddings) tensors.push({ name: "lm_head.weight", shape: [vocabSize, hiddenSize] })
  return tensors
}

/**
 * Reads and checks all of a model's files but the weights' bytes.
 * @throws InputError when a file is absent, broken or of another kind of model, or tensors are missing or of another shape.
 */
export async function openCheckpoint(folder: Folder): Promise<Checkpoint> {
  const config = await readConfig(folder)
  const found = await readTensors(folder)
  const tensors = checkTensors(folder, config, found)
  const unused = [...found.keys()].filter((name) => !tensors.has(name))
  let bytes = 0
  for (const { begin, end } of tensors.values()) bytes += end - begin
  return {
    folder,
    config,
    tensors,
    ...(await readTokenizer(folder)),
    warnings: unused.length === 0 ? [] : [unusedWarning(folder, config, unused)],
    bytes,
  }
}

async function readConfig(folder: Folder): Promise<LlamaConfig> {
  const where = `${folder.name}/config.json`
  const config = await readJson(folder, "config.json")
  if (config === undefined) {
    throw new InputError({ where, expected: "a model's config.json", found: "no such file", todo: "name a model's folder" })
  }
  return parseConfig(config, await readJson(folder, "generation_config.json"), where)
}

async function readTokenizer(folder: Folder): Promise<Pick<Checkpoint, "tokenizer" | "chat">> {
  const text = await folder.readText("tokenizer.json")
  if (text === undefined) return { tokenizer: undefined, chat: undefined }
  const config = await folder.readText("tokenizer_config.json")
  const tokenizer = Tokenizer.parse(text, config, `${folder.name}/tokenizer.json`)
  return { tokenizer, chat: await ChatTemplate.read(folder, config) }
}

async function readTensors(folder: Folder): Promise<ReadonlyMap<string, TensorEntry>> {
  const single = await folder.open(SINGLE)
  if (single) return (await readSafetensors(single)).tensors
  const index = await readJson(folder, INDEX)
  if (index === undefined) {
    const todo = "choose a model with safetensors weights"
    throw new InputError({ where: folder.name, expected: `${SINGLE} or ${INDEX}`, found: "neither", todo })
  }
  return readShards(folder, checkShape(indexShape, index, `${folder.name}/${INDEX}`).weight_map)
}

async function readShards(folder: Folder, weightMap: Record<string, string>): Promise<Map<string, TensorEntry>> {
  const shards = new Map<string, SafetensorsFile>()
  const tensors = new Map<string, TensorEntry>()
  for (const name of new Set(Object.values(weightMap))) {
    const shard = await openShard(folder, name)
    shards.set(name, shard)
    for (const [tensor, entry] of shard.tensors) tensors.set(tensor, entry)
  }
  // The index decides which shard serves a tensor; what it does not name is kept only to be named in the warning.
  const broken: string[] = []
  for (const [tensor, name] of Object.entries(weightMap)) {
    const entry = shards.get(name)?.tensors.get(tensor)
    if (entry) tensors.set(tensor, entry)
    else broken.push(`no ${tensor} in ${name}`)
  }
  if (broken.length === 0) return tensors
  const where = `${folder.name}/${INDEX}`
  throw new InputError({ where, expected: "tensors that its shards have", found: broken.join(", "), todo: FETCH_AGAIN })
}

async function openShard(folder: Folder, name: string): Promise<SafetensorsFile> {
  const where = `${folder.name}/${INDEX}`
  if (/[/\\]|\.\./.test(name) || name === "") {
    throw new InputError({ where, expected: "shards beside the index", found: show(name) })
  }
  const source = await folder.open(name)
  if (source) return readSafetensors(source)
  throw new InputError({ where, expected: `shard ${name}`, found: "no such file", todo: FETCH_AGAIN })
}

function checkTensors(
  folder: Folder,
  config: LlamaConfig,
  found: ReadonlyMap<string, TensorEntry>,
): ReadonlyMap<string, TensorEntry> {
  const tensors = new Map<string, TensorEntry>()
  const missing: string[] = []
  const misshapen: string[] = []
  const quantised: string[] = []
  for (const { name, shape } of expectedTensors(config)) {
    const entry = found.get(name)
    if (!entry) missing.push(name)
    else if (entry.shape.join() !== shape.join()) misshapen.push(`${name} ${show(entry.shape)} instead of ${show(shape)}`)
    else if (!WEIGHTS.includes(entry.dtype)) quantised.push(`${name} ${entry.dtype}`)
    else tensors.set(name, entry)
  }
  const faults: string[] = []
  if (missing.length > 0) faults.push(`${missing.length} missing: ${missing.join(", ")}`)
  if (misshapen.length > 0) faults.push(`${misshapen.length} of another shape: ${misshapen.join(", ")}`)
  if (quantised.length > 0) faults.push(`${quantised.length} of another dtype: ${quantised.join(", ")}`)
  if (faults.length === 0) return tensors
  throw new InputError({
    where: folder.name,
    expected: `the tensors that config.json describes, in ${WEIGHTS.join(", ")}`,
    found: faults.join("; "),
    todo: quantised.length > 0 ? "choose the model's files that are not quantised" : FETCH_AGAIN,
  })
}

// Hugging Face also ignores a tied model's lm_head and the rotary frequencies that old exports carry.
function unusedWarning(folder: Folder, config: LlamaConfig, names: readonly string[]): string {
  const tied = config.tiedEmbeddings && names.includes("lm_head.weight") ? " (config.json ties lm_head to the embedding)" : ""
  return `${folder.name}: tensors that are not used: ${names.join(", ")}${tied}`
}
