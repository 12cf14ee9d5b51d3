import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { decodeSafetensors } from "../reference/checkpoint.ts"
import { ReferenceLlama, type ReferenceConfig } from "../reference/llama.ts"

/** The embedded model's folder. */
export const tinyTalkFolder: string = fileURLToPath(new URL("../../models/tiny-talk", import.meta.url))

/** A greedy continuation of 32 tokens, or fewer when it met end_of_text or eot. */
export interface GreedyFixture {
  readonly ids: number[]
  readonly text: string
  readonly min_gap: number
  /** [step, gap] where the two best (penalised) logits differ by less than 0.05. */
  readonly near_ties: [number, number][]
}

/** Float64 results on one prompt. */
export interface ResultFixture {
  readonly "top20_ids": number[]
  /** Of the last position, as all named «last». */
  readonly "top20_logits": number[]
  readonly "logsumexp_last": number
  /** Length of the residual stream after each layer, steering included. */
  readonly "residual_norms_last": number[]
  /** Element i is the log-prob of ids[i + 1]. */
  readonly "next_logprobs": number[]
  readonly "greedy32": GreedyFixture
  readonly "greedy32_penalty1.1": GreedyFixture
}

export interface CaseFixture {
  readonly name: string
  readonly text: string
  /** With the beginning-of-text id. */
  readonly ids: number[]
  readonly plain: ResultFixture
  readonly steered: ResultFixture
}

/** test/fixtures/reference.json: torch in float64 on the embedded model's weights. */
export interface ReferenceFixture {
  readonly model_sha256: string
  readonly inv_freq: number[]
  readonly steering: { readonly layers: number[]; readonly coefficient: number; readonly vector: number[] }
  readonly cases: CaseFixture[]
}

/** One coefficient of a sweep; nll and coherence are means over the prompts, the texts stand in their order. */
export interface SweepFixture {
  readonly c: number
  readonly nll: number
  readonly coherence: number
  readonly on_topic: number
  readonly texts: string[]
}

export interface TopicFixture {
  readonly category: string
  readonly positive: string[]
  readonly negative: string[]
  /** Of the mean-difference vector, per layer. */
  readonly vector_norms: number[]
  readonly sweep: SweepFixture[]
}

/** test/fixtures/demo.json: contrast pairs and the curves to expect from them. */
export interface DemoFixture {
  readonly layers: number[]
  readonly prompts: string[]
  readonly topics: Record<string, TopicFixture>
}

/** The end_of_text and eot ids of the embedded model, at which the fixtures' greedy runs stop. */
export const tinyTalkEnds: readonly number[] = [4081, 4089]

const makeReference = "python3 scripts/tiny-talk/fixtures.py models/tiny-talk test/fixtures/reference.json"

/** Reads reference.json. Fails where it is missing, broken, or was made from other weights. */
export function loadReference(): ReferenceFixture {
  const reference = readJson("test/fixtures/reference.json", makeReference) as ReferenceFixture
  const found = createHash("sha256").update(tinyTalkWeights()).digest("hex")
  if (reference.model_sha256 !== found) {
    throw new Error(
      `test/fixtures/reference.json: expected results of models/tiny-talk/model.safetensors with sha256 ${found}, ` +
        `found ${reference.model_sha256}; make it anew with: ${makeReference}`,
    )
  }
  return reference
}

/** Reads demo.json. Fails where it is missing or broken. */
export function loadDemo(): DemoFixture {
  return readJson("test/fixtures/demo.json", "git checkout -- test/fixtures/demo.json") as DemoFixture
}

let tinyTalk: ReferenceLlama | undefined

/** The embedded model in float64, one for the whole test process. */
export function loadTinyTalk(): ReferenceLlama {
  tinyTalk ??= new ReferenceLlama(
    readJson("models/tiny-talk/config.json", "git checkout -- models/tiny-talk") as ReferenceConfig,
    decodeSafetensors(tinyTalkWeights()),
  )
  return tinyTalk
}

function tinyTalkWeights(): Uint8Array {
  return read("models/tiny-talk/model.safetensors", "git checkout -- models/tiny-talk")
}

function readJson(path: string, remedy: string): unknown {
  const bytes = read(path, remedy)
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch (cause) {
    throw new Error(`${path}: expected JSON; make it anew with: ${remedy}`, { cause })
  }
}

function read(path: string, remedy: string): Uint8Array {
  try {
    return readFileSync(new URL(`../../${path}`, import.meta.url))
  } catch (cause) {
    throw new Error(`${path} cannot be read; make it anew with: ${remedy}`, { cause })
  }
}
