import { pad8 } from "../kernels/kernel.ts"
import type { Capture } from "./capture.ts"
import type { LlamaConfig } from "./config.ts"
import type { GpuBuffer } from "./device.ts"
import type { EditSet, EditTarget } from "./edits.ts"
import type { KernelSet } from "./kernel-set.ts"
import type { KvCache, Workspace } from "./memory.ts"
import type { Prefixes } from "./prefixes.ts"
import type { Normed } from "./products.ts"
import type { Recorder } from "./recorder.ts"
import type { SteeringBuffers } from "./steer.ts"
import type { LayerWeights, Matrix, Weights } from "./weights.ts"

/** Everything that a pass reads and writes. */
export interface Pass {
  readonly config: LlamaConfig
  readonly weights: Weights
  readonly kernels: KernelSet
  readonly workspace: Workspace
  readonly cache: KvCache
  /** (cos, sin) f32 [positions, headDim / 2, 2] */
  readonly rotaryTable: GpuBuffer
  readonly steering: SteeringBuffers
  readonly capture: Capture | undefined
  readonly edits: EditSet | undefined
  readonly batch: Batch
  readonly prefixes: Prefixes
  /** Where the tokens come from, where not from their ids. */
  readonly begin: Begin | undefined
  /** The caller's row of the batch's first row. */
  readonly firstRow: number
  /** Layers to run: fewer than all where nothing after them is wanted. */
  readonly depth: number
  /** Where each token of the batch belongs, for host edits: its row in the caller's list, and its position. */
  readonly place: (token: number) => { readonly row: number; readonly position: number }
}

/** Tokens that have run through the first layers already: those that several rows share. */
export interface Begin {
  /** The last layer that they ran through, up to where it is steered. */
  readonly layer: number
  /** The residual stream there, f32 [any, pad8(hidden)], and the row in it of each token of the batch, u32 [tokens]. */
  readonly residuals: GpuBuffer
  readonly index: GpuBuffer
}

/** The tokens of a pass, of any rows: u32 [tokens] each. */
export interface Batch {
  readonly tokens: number
  readonly ids: GpuBuffer
  /** The row of the batch that each token belongs to. */
  readonly rows: GpuBuffer
  /** Its place in the row, from 0. */
  readonly positions: GpuBuffer
  /** Whether every token is the only one of its row, as in generation. */
  readonly single: boolean
}

/** An internal that a host edit changes: the pass goes on when it has been changed. */
export interface HostPoint {
  readonly name: string
  readonly target: EditTarget
}

/**
 * The Llama 3 forward pass over the tokens of a batch, in reading order: from their ids to the residual stream after the
 * last layer ({@link output}). Their keys and values are added to the cache. It is recorded in one go and yields only where
 * a host edit needs the values.
 */
export function* forward(recorder: Recorder, pass: Pass): Generator<HostPoint, void, void> {
  const { config, weights, kernels, workspace, cache, rotaryTable, steering, edits, capture, begin } = pass
  const { products } = kernels
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config
  const { tokens, ids, rows, positions } = pass.batch
  const { residual, normed, qkv, heads: mixed, branch, gateUp, gated } = workspace.buffers
  const { capacity } = cache
  const keyCount = pad8(capacity)
  const stride = pad8(hiddenSize)
  const queryWidth = heads * headDim
  const keyWidth = kvHeads * headDim
  const qkvStride = pad8(queryWidth + 2 * keyWidth)
  const gateUpStride = pad8(2 * intermediateSize)
  const watched = (...names: string[]): boolean =>
    names.some((name) => edits?.has(name) === true || capture?.wants(name) === true)
  const normOf = (weight: GpuBuffer): Normed => ({ residual, weight, room: normed })
  // Lets edits change an internal, then captures it. What nobody wants costs nothing.
  function* see(
    name: string,
    buffer: GpuBuffer,
    shape: readonly number[],
    rowStride = stride,
    start = 0,
  ): Generator<HostPoint, void, void> {
    if (edits?.has(name)) {
      const target = { buffer, stride: rowStride, start, shape, tokens, rows, positions, firstRow: pass.firstRow }
      edits.record(recorder, name, target)
      if (edits.onHost(name).length > 0) yield { name, target }
    }
    capture?.tap(recorder, name, buffer, start, rowStride, tokens)
  }

  // A block's output where somebody looks at it: by itself, then added to the residual stream.
  function* addSeen(x: GpuBuffer, matrix: Matrix, name: string): Generator<HostPoint, void, void> {
    products.multiply(recorder, x, matrix, branch, tokens)
    yield* see(name, branch, [hiddenSize])
    recorder.run(products.residual, [residual, branch], { count: tokens * stride })
  }

  const steer = (l: number): void => {
    const steered = steering.layers.get(l)
    if (!steered) return
    const kernel = steered.addsAlone ? kernels.steerAdd : kernels.steerWays
    recorder.run(kernel, [residual, rows, positions, steered.vectors, steered.operations], { tokens, count: steered.count })
  }

  if (begin) {
    recorder.run(kernels.gather, [begin.residuals, begin.index, residual], { count: tokens })
    steer(begin.layer)
  } else {
    kernels.embed(recorder, weights.embedding, ids, residual, tokens)
    yield* see("hook_embed", residual, [hiddenSize])
  }

  for (let l = begin ? begin.layer + 1 : 0; l < pass.depth; l++) {
    const layer = weights.layers[l] as LayerWeights
    const block = `blocks.${l}.`
    const keys = cache.keys[l] as GpuBuffer
    const values = cache.values[l] as GpuBuffer
    const prefixes = pass.prefixes.at(l)
    yield* see(`${block}hook_resid_pre`, residual, [hiddenSize])

    products.multiplyNormed(recorder, normOf(layer.inputNorm), layer.qkv, qkv, tokens)
    yield* see(`${block}attn.hook_q`, qkv, [heads, headDim], qkvStride)
    yield* see(`${block}attn.hook_k`, qkv, [kvHeads, headDim], qkvStride, queryWidth)
    yield* see(`${block}attn.hook_v`, qkv, [kvHeads, headDim], qkvStride, queryWidth + keyWidth)
    const atOnce = pass.batch.single ? kernels.attentionDecode : undefined
    if (atOnce && !watched(`${block}attn.hook_rot_q`, `${block}attn.hook_rot_k`, `${block}attn.hook_pattern`)) {
      recorder.run(atOnce, [qkv, keys, values, rows, positions, prefixes, rotaryTable, mixed], { tokens, capacity })
    } else {
      recorder.run(kernels.rotary, [qkv, keys, values, rows, positions, rotaryTable], { tokens, capacity })
      yield* see(`${block}attn.hook_rot_q`, qkv, [heads, headDim], qkvStride)
      yield* see(`${block}attn.hook_rot_k`, qkv, [kvHeads, headDim], qkvStride, queryWidth)
      if (edits?.has(`${block}attn.hook_rot_k`)) {
        recorder.run(kernels.storeKeys, [qkv, keys, rows, positions], { tokens, capacity })
      }
      const pattern = watched(`${block}attn.hook_pattern`) ? workspace.pattern(tokens * heads * keyCount * 4) : undefined
      if (pattern) {
        recorder.run(kernels.pattern, [qkv, keys, rows, positions, pattern], { tokens, capacity, keys: keyCount })
        yield* see(`${block}attn.hook_pattern`, pattern, [heads, keyCount], heads * keyCount)
      }
      if (pattern && edits?.has(`${block}attn.hook_pattern`)) {
        recorder.run(kernels.mix, [pattern, values, rows, positions, mixed], { tokens, capacity, keys: keyCount })
      } else {
        recorder.run(kernels.attention, [qkv, keys, values, rows, positions, prefixes, mixed], { tokens, capacity })
      }
    }
    yield* see(`${block}attn.hook_z`, mixed, [heads, headDim], pad8(queryWidth))
    if (watched(`${block}hook_attn_out`)) yield* addSeen(mixed, layer.output, `${block}hook_attn_out`)
    else products.multiplyAdd(recorder, mixed, layer.output, residual, tokens)
    yield* see(`${block}hook_resid_mid`, residual, [hiddenSize])

    const gatesLater = products.gatesInputs(layer.down, tokens) && !watched(`${block}mlp.hook_post`, `${block}hook_mlp_out`)
    if (gatesLater || watched(`${block}mlp.hook_pre`, `${block}mlp.hook_pre_linear`)) {
      products.multiplyNormed(recorder, normOf(layer.postNorm), layer.gateUp, gateUp, tokens)
      yield* see(`${block}mlp.hook_pre`, gateUp, [intermediateSize], gateUpStride)
      yield* see(`${block}mlp.hook_pre_linear`, gateUp, [intermediateSize], gateUpStride, intermediateSize)
      if (!gatesLater) recorder.run(products.siluGate, [gateUp, gated], { tokens })
    } else {
      products.multiplyGated(recorder, normOf(layer.postNorm), layer.gateUp, { room: gateUp, gated }, tokens)
    }
    yield* see(`${block}mlp.hook_post`, gated, [intermediateSize], pad8(intermediateSize))
    const steered = steering.layers.get(l)
    if (steered?.addsAlone === true && products.addsVectors(layer.down, tokens) && !watched(`${block}hook_mlp_out`)) {
      products.multiplyAddSteered(recorder, gated, layer.down, residual, { rows, positions, ...steered }, tokens)
    } else {
      if (watched(`${block}hook_mlp_out`)) yield* addSeen(gated, layer.down, `${block}hook_mlp_out`)
      else if (gatesLater) products.multiplyAddGated(recorder, gateUp, layer.down, residual, tokens)
      else products.multiplyAdd(recorder, gated, layer.down, residual, tokens)
      steer(l)
    }
    yield* see(`${block}hook_resid_post`, residual, [hiddenSize])
  }

  if (watched(FINAL)) {
    recorder.run(products.norm, [residual, weights.ones, normed], { tokens })
    yield* see(FINAL, normed, [hiddenSize])
  }
}

const FINAL = "ln_final.hook_normalized"

/** What a pass leaves for {@link unembed}: the residual stream, or its norm where that was edited. f32 [tokens, pad8(hidden)] */
export function output({ workspace, edits }: Pick<Pass, "workspace" | "edits">): GpuBuffer {
  return edits?.has(FINAL) ? workspace.buffers.normed : workspace.buffers.residual
}

/** The logits [count, pad8(vocab)], in `into` or `workspace.logits`, of `count` rows of {@link output}. */
export function unembed(
  recorder: Recorder,
  pass: Pick<Pass, "config" | "weights" | "kernels" | "workspace" | "edits">,
  from: GpuBuffer,
  count: number,
  into: GpuBuffer = pass.workspace.buffers.logits,
): void {
  const { config, weights, kernels, workspace, edits } = pass
  const { selectedNormed } = workspace.buffers
  if (edits?.has(FINAL)) {
    const stride = pad8(config.hiddenSize)
    const { rows, positions } = workspace.buffers
    const along = { row: 0, position: 0, outer: 0, inner: 1 }
    const none = { row: 0, position: 0, outer: 0, inner: 0 }
    recorder.copy(from, selectedNormed, count * stride * 4)
    recorder.run(kernels.scale, [selectedNormed, rows, positions, weights.finalNorm, weights.ones], {
      tokens: count,
      width: stride,
      inner: stride,
      stride,
      start: 0,
      firstRow: 0,
      tensors: [along, none],
    })
    kernels.products.multiply(recorder, selectedNormed, weights.head, into, count)
  } else {
    const normed = { residual: from, weight: weights.finalNorm, room: selectedNormed }
    kernels.products.multiplyNormed(recorder, normed, weights.head, into, count)
  }
}

/** The logits of the rows of `from` that stand in `index` from `first` on, `count` of them, into `into` or `workspace.logits`. */
export function unembedRowsAt(
  recorder: Recorder,
  pass: Pass,
  from: GpuBuffer,
  index: GpuBuffer,
  { first, count }: { readonly first: number; readonly count: number },
  into?: GpuBuffer,
): void {
  const { selection, selected } = pass.workspace.buffers
  recorder.copy(index, selection, count * 4, first * 4)
  recorder.run(pass.kernels.gather, [from, selection, selected], { count })
  unembed(recorder, pass, selected, count, into)
}

/** (cos, sin) f32 [positions, headDim / 2, 2] of the rotary embedding, computed in float64. */
export function rotaryValues(inverseFrequencies: Float64Array, positions: number): Float32Array {
  const half = inverseFrequencies.length
  const table = new Float32Array(positions * half * 2)
  for (let position = 0; position < positions; position++) {
    for (let i = 0; i < half; i++) {
      const angle = position * (inverseFrequencies[i] as number)
      table[(position * half + i) * 2] = Math.cos(angle)
      table[(position * half + i) * 2 + 1] = Math.sin(angle)
    }
  }
  return table
}
