import { pad8 } from "../kernels/kernel.ts"
import { Capture } from "./capture.ts"
import type { LlamaConfig } from "./config.ts"
import type { Core } from "./core.ts"
import type { GpuBuffer } from "./device.ts"
import { drive } from "./drive.ts"
import { type Edit, EditSet } from "./edits.ts"
import { hookShapes, type HookSelection, isPattern, selectHooks } from "./hooks.ts"
import { forward, output, type Pass, unembed, unembedRowsAt } from "./llama.ts"
import { Recorder } from "./recorder.ts"
import { cut, eachGroup, lastPlaces, type Piece, places, preparePass, type RowGroup } from "./sequences.ts"
import type { Steering } from "./steer.ts"
import type { Tensor } from "./tensor.ts"

export interface RunOptions {
  /** Which internals to return. */
  readonly capture?: HookSelection
  /** Whether to keep every position, or the last of each row alone (pos is 1 then). */
  readonly at?: "all" | "last"
  /** Whether to return logits; they are by default. */
  readonly logits?: boolean
  readonly steering?: readonly Steering[]
  /** Changes of internals while the model runs. */
  readonly edits?: readonly Edit[]
  readonly signal?: AbortSignal
}

/** What came out of a run; rows shorter than the longest are filled up with zeros. */
export interface RunResult {
  /** Positions of each row. */
  readonly lengths: readonly number[]
  /** [row, pos, vocab], where asked for. */
  readonly logits: Tensor | undefined
  /** By name, [row, pos, ...] as {@link hookShapes} says; the pattern is [row, head, query, key]. */
  readonly captured: ReadonlyMap<string, Tensor>
}

/**
 * Runs sequences of ids and returns logits and internals.
 * @throws InputError for unknown names.
 */
export async function run(core: Core, sequences: readonly (readonly number[])[], options: RunOptions = {}): Promise<RunResult> {
  const names = options.capture === undefined ? [] : selectHooks(core.config, options.capture, "capture")
  const lengths = sequences.map((ids) => ids.length)
  const longest = Math.max(0, ...lengths)
  const last = options.at === "last"
  const outputs = new Outputs(
    core,
    names,
    { rows: lengths.length, positions: last ? 1 : longest, keys: longest },
    options.logits ?? true,
  )
  using edits = await EditSet.prepare(core.device, core.config, options.edits ?? [], { rows: lengths.length, positions: longest })
  const { steering = [], signal } = options
  const inputs = sequences.map((ids) => ({ ids, promptLength: ids.length }))
  const depth = outputs.logits ? core.config.layers : depthOf(core.config, names)
  await eachGroup(core, inputs, { steering, signal, edits, depth }, async (group) => {
    for (const piece of cut(group.list.ids.length, core.limits.tokens)) await runPiece(core, group, piece, last, outputs)
  })
  return { lengths, logits: outputs.logits, captured: outputs.captured }
}

/** Layers to run for these internals alone. */
function depthOf({ layers }: LlamaConfig, names: readonly string[]): number {
  const depths = names.map((name) =>
    name.startsWith("ln_final.") ? layers : Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? -1) + 1,
  )
  return Math.max(0, ...depths)
}

async function runPiece(core: Core, group: RowGroup, piece: Piece, last: boolean, outputs: Outputs): Promise<void> {
  const { device, kernels, limits } = core
  const { rows, positions } = group.list
  const kept = last ? lastPlaces(group.list, piece) : places(piece.count)
  using index = device.upload("places", Uint32Array.from(kept))
  const selection = last ? { index, count: kept.length } : undefined
  using capture = new Capture(device, kernels, outputs.names, selection)
  const pass = preparePass(core, group, piece, Math.max(1, Math.min(limits.logits, kept.length)), capture)
  const recorder = new Recorder(device, `running ${piece.count} tokens`)
  const waiting = drive(recorder, pass, forward(recorder, pass))
  if (waiting) await waiting
  using logits = outputs.logits ? recordLogits(recorder, pass, index, kept.length, core) : undefined
  recorder.submit()
  await device.settled()

  const target = (i: number): Target => {
    const token = piece.first + (kept[i] as number)
    return { row: group.members[rows[token] as number] as number, position: last ? 0 : (positions[token] as number) }
  }
  for (const name of outputs.names) await capture.read(name, (i, values) => outputs.put(name, target(i), values))
  if (logits) {
    const vocab = core.config.vocabSize
    const floats = new Float32Array(await device.read(logits))
    for (let i = 0; i < kept.length; i++) {
      outputs.putLogits(target(i), floats.subarray(i * pad8(vocab), i * pad8(vocab) + vocab))
    }
  }
}

/** All wanted logits of a pass in one buffer [count, pad8(vocab)]. */
function recordLogits(recorder: Recorder, pass: Pass, index: GpuBuffer, count: number, core: Core): GpuBuffer {
  const stride = pad8(core.config.vocabSize) * 4
  const all = core.device.createBuffer("all logits", count * stride)
  for (const piece of cut(count, pass.workspace.logitRows)) {
    unembedRowsAt(recorder, pass, output(pass), index, piece)
    recorder.copy(pass.workspace.buffers.logits, all, piece.count * stride, 0, piece.first * stride)
  }
  return all
}

/** The logits [vocab] of rows of the residual stream [hidden]: final norm and head, as after the last layer. */
export async function unembedRows(core: Core, rows: readonly Float32Array[]): Promise<Float32Array[]> {
  const { device, weights, kernels, limits, config } = core
  const stride = pad8(config.hiddenSize)
  const logitStride = pad8(config.vocabSize)
  const results: Float32Array[] = []
  for (const { first, count } of cut(rows.length, limits.logits)) {
    const floats = new Float32Array(count * stride)
    for (let i = 0; i < count; i++) floats.set(rows[first + i] as Float32Array, i * stride)
    using residual = device.upload("residual rows", floats)
    using copy = device.createBuffer("logits of rows", count * logitStride * 4)
    const workspace = core.workspace(1, count)
    const recorder = new Recorder(device, `unembedding ${count} rows`)
    unembed(recorder, { config, weights, kernels, workspace, edits: undefined }, residual, count)
    recorder.copy(workspace.buffers.logits, copy, count * logitStride * 4)
    recorder.submit()
    const logits = new Float32Array(await device.read(copy))
    for (let i = 0; i < count; i++) results.push(logits.slice(i * logitStride, i * logitStride + config.vocabSize))
  }
  return results
}

interface Target {
  readonly row: number
  readonly position: number
}

interface Extent {
  readonly rows: number
  readonly positions: number
  readonly keys: number
}

/** The tensors of a result, and where a token's values go in them. */
class Outputs {
  readonly names: readonly string[]
  readonly logits: Tensor | undefined
  readonly captured: Map<string, Tensor> = new Map()
  readonly #extent: Extent
  readonly #heads: number

  constructor(core: Core, names: readonly string[], extent: Extent, logits: boolean) {
    const { vocabSize, heads } = core.config
    const shapes = hookShapes(core.config)
    this.names = names
    this.#extent = extent
    this.#heads = heads
    for (const name of names) {
      const { rows, positions, keys } = extent
      this.captured.set(
        name,
        zeros(isPattern(name) ? [rows, heads, positions, keys] : [rows, positions, ...(shapes.get(name) ?? [])]),
      )
    }
    if (logits) this.logits = zeros([extent.rows, extent.positions, vocabSize])
  }

  put(name: string, target: Target, values: Float32Array): void {
    const tensor = this.captured.get(name) as Tensor
    if (isPattern(name)) this.#putPattern(tensor, target, values)
    else {
      const width = tensor.data.length / (this.#extent.rows * this.#extent.positions)
      tensor.data.set(values.subarray(0, width), (target.row * this.#extent.positions + target.position) * width)
    }
  }

  putLogits({ row, position }: Target, values: Float32Array): void {
    this.logits?.data.set(values, (row * this.#extent.positions + position) * values.length)
  }

  /** `values` are [head, some keys], at least as many as the token may see. */
  #putPattern({ data }: Tensor, { row, position }: Target, values: Float32Array): void {
    const { positions, keys } = this.#extent
    const stride = values.length / this.#heads
    for (let head = 0; head < this.#heads; head++) {
      const seen = values.subarray(head * stride, head * stride + Math.min(stride, keys))
      data.set(seen, ((row * this.#heads + head) * positions + position) * keys)
    }
  }
}

function zeros(shape: readonly number[]): Tensor {
  return { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }
}
