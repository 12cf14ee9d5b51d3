import { pad8 } from "../kernels/kernel.ts"
import { bytesPerWeight } from "../kernels/weights.ts"
import type { Checkpoint } from "./checkpoint.ts"
import type { LlamaConfig } from "./config.ts"
import type { Device, GpuBuffer } from "./device.ts"
import { halfBytes } from "./half-chunk.ts"
import { type MatmulMode, partsOf } from "./matmul-choice.ts"
import { matrixScratch, type MatrixSize } from "./matrix-path.ts"
import { EMBEDDING, weightType } from "./weights.ts"

/** Tokens of one pass at most: enough for full speed, little enough for the workspace to stay small. */
const MAX_TOKENS = 2048
/** The logits of one piece at most. */
const MAX_LOGITS_BYTES = 256 * 2 ** 20

/** The buffers that a pass works in: floats of a row each. One row a token, or one row a wanted logit. */
function workspaceWidths(config: LlamaConfig): {
  readonly token: Record<TokenBuffer, number>
  readonly logit: Record<LogitBuffer, number>
} {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config
  return {
    token: {
      ids: 1,
      rows: 1,
      positions: 1,
      residual: pad8(hiddenSize),
      normed: pad8(hiddenSize),
      qkv: pad8((heads + 2 * kvHeads) * headDim),
      heads: pad8(heads * headDim),
      branch: pad8(hiddenSize),
      gateUp: pad8(2 * intermediateSize),
      gated: pad8(intermediateSize),
    },
    logit: {
      selection: 1,
      selected: pad8(hiddenSize),
      selectedNormed: pad8(hiddenSize),
      logits: pad8(vocabSize),
    },
  }
}

type TokenBuffer = "ids" | "rows" | "positions" | "residual" | "normed" | "qkv" | "heads" | "branch" | "gateUp" | "gated"
type LogitBuffer = "selection" | "selected" | "selectedNormed" | "logits"

const sum = (numbers: Iterable<number>): number => [...numbers].reduce((a, b) => a + b, 0)

/** What one pass can take on this device. */
export interface Limits {
  /** Tokens of a pass. */
  readonly tokens: number
  /** Rows of logits made at a time. */
  readonly logits: number
  /** Batch rows whose key and value caches of `capacity` positions fit one binding a layer. */
  rows(capacity: number): number
}

export function passLimits(config: LlamaConfig, maxBinding: number): Limits {
  const { token, logit } = workspaceWidths(config)
  const widest = Math.max(...Object.values(token)) * 4
  const tokens = Math.max(1, Math.min(MAX_TOKENS, Math.floor(maxBinding / widest)))
  const logits = Math.max(1, Math.min(tokens, Math.floor(Math.min(maxBinding, MAX_LOGITS_BYTES) / (logit.logits * 4))))
  const cacheRow = config.kvHeads * config.headDim * 4
  return { tokens, logits, rows: (capacity) => Math.min(tokens, logits, Math.floor(maxBinding / (capacity * cacheRow))) }
}

/** The buffers of a pass over at most `tokens` tokens that makes at most `logitRows` rows of logits at a time. */
export class Workspace implements Disposable {
  readonly tokens: number
  readonly logitRows: number
  readonly buffers: Readonly<Record<TokenBuffer | LogitBuffer, GpuBuffer>>
  readonly #device: Device
  #pattern: GpuBuffer | undefined

  constructor(device: Device, config: LlamaConfig, tokens: number, logitRows: number) {
    this.#device = device
    this.tokens = tokens
    this.logitRows = logitRows
    const { token, logit } = workspaceWidths(config)
    const make = <Name extends string>(widths: Record<Name, number>, rows: number): Record<Name, GpuBuffer> => {
      const buffers: Partial<Record<Name, GpuBuffer>> = {}
      for (const name in widths) buffers[name] = device.createBuffer(`workspace ${name}`, rows * widths[name] * 4)
      return buffers as Record<Name, GpuBuffer>
    }
    this.buffers = { ...make(token, tokens), ...make(logit, logitRows) }
  }

  /** Room for an attention pattern, which only those who look at it need. */
  pattern(bytes: number): GpuBuffer {
    if (this.#pattern && this.#pattern.size >= bytes) return this.#pattern
    this.#pattern?.dispose()
    this.#pattern = this.#device.createBuffer("workspace pattern", bytes)
    return this.#pattern
  }

  dispose(): void {
    for (const buffer of Object.values(this.buffers)) buffer.dispose()
    this.#pattern?.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Keys and values of every layer, f32 [rows, capacity, kvHeads headDim] each, allocated once for a whole run. */
export class KvCache implements Disposable {
  readonly capacity: number
  readonly keys: readonly GpuBuffer[]
  readonly values: readonly GpuBuffer[]

  constructor(device: Device, config: LlamaConfig, rows: number, capacity: number) {
    this.capacity = capacity
    const bytes = rows * capacity * config.kvHeads * config.headDim * 4
    const make = (what: string): GpuBuffer[] =>
      Array.from({ length: config.layers }, (_, l) => device.createBuffer(`layer ${l}'s ${what} cache`, bytes))
    this.keys = make("key")
    this.values = make("value")
  }

  dispose(): void {
    for (const buffer of [...this.keys, ...this.values]) buffer.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Bytes of GPU memory that a run takes. */
export interface MemoryPlan {
  readonly rows: number
  readonly capacity: number
  readonly weights: number
  readonly cache: number
  readonly workspace: number
  readonly total: number
}

/** The weight matrices that activations are multiplied with, each size once. */
export function matrixSizes(config: LlamaConfig): MatrixSize[] {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config
  return [
    { rows: (heads + 2 * kvHeads) * headDim, columns: hiddenSize },
    { rows: hiddenSize, columns: heads * headDim },
    { rows: 2 * intermediateSize, columns: hiddenSize },
    { rows: hiddenSize, columns: intermediateSize },
    { rows: vocabSize, columns: hiddenSize },
  ]
}

/**
 * What a batch of `rows` rows of at most `capacity` positions takes with this checkpoint, in bytes, before anything is allocated:
 * with the matrix path all weights but the embedding are f16, and a tied head is a copy.
 */
export function planMemory(
  checkpoint: Checkpoint,
  rows: number,
  capacity: number,
  maxBinding: number,
  matmul: MatmulMode = "f32",
): MemoryPlan {
  const { config } = checkpoint
  const limits = passLimits(config, maxBinding)
  const { token, logit } = workspaceWidths(config)
  const halves = matmul !== "f32"
  const stored = sum(
    [...checkpoint.tensors.values()].map((entry) => {
      const [n = 1, columns] = entry.shape
      if (columns === undefined) return pad8(n) * 4
      const size = halves && entry.name !== EMBEDDING ? 2 : bytesPerWeight[weightType(entry)]
      return n * pad8(columns) * size
    }),
  )
  const weights = stored + (halves && config.tiedEmbeddings ? halfBytes(config.vocabSize, config.hiddenSize) : 0)
  const cache = 2 * config.layers * rows * capacity * config.kvHeads * config.headDim * 4
  const tokens = Math.min(limits.tokens, rows * capacity)
  const ofPasses = 4 * (tokens * sum(Object.values(token)) + Math.min(limits.logits, tokens) * sum(Object.values(logit)))
  const ofMatrices = halves
    ? sum(Object.values(matrixScratch(matrixSizes(config), partsOf[matmul], limits.tokens, maxBinding)))
    : 0
  const workspace = ofPasses + ofMatrices
  return { rows, capacity, weights, cache, workspace, total: weights + cache + workspace }
}
