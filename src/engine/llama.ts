import { pad8 } from "../kernels/kernel.ts"
import type { Capture } from "./capture.ts"
import type { LlamaConfig } from "./config.ts"
import type { GpuBuffer } from "./device.ts"
import type { EditSet, EditTarget } from "./edits.ts"
import type { KernelSet } from "./kernel-set.ts"
import type { KvCache, Workspace } from "./memory.ts"
import type { Recorder } from "./recorder.ts"
import type { SteeringBuffers } from "./steer.ts"
import type { Matrix, Weights } from "./weights.ts"

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
  /** The caller's row of the batch's first row. */
  readonly firstRow: number
  /** Layers to run: fewer than all where nothing after them is wanted. */
  readonly depth: number
  /** Where each token of the batch belongs, for host edits: its row in the caller's list, and its position. */
  readonly place: (token: number) => { readonly row: number; readonly position: number }
}

/** The tokens of a pass, of any rows: u32 [tokens] each. */
export interface Batch {
  readonly tokens: number
  readonly ids: GpuBuffer
  /** The row of the batch that each token belongs to. */
  readonly rows: GpuBuffer
  /** Its place in the row, from 0. */
  readonly positions: GpuBuffer
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
  const { config, weights, kernels, workspace, cache, rotaryTable, steering, edits, capture } = pass
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
  const watched = (name: string): boolean => edits?.has(name) === true || capture?.wants(name) === true
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

  // Adds a block's output to the residual stream: in one go where nobody looks at it.
  function* addProduct(x: GpuBuffer, matrix: Matrix, name: string): Generator<HostPoint, void, void> {
    if (!watched(name)) {
      kernels.multiplyAdd(recorder, x, matrix, residual, tokens)
      return
    }
    kernels.multiply(recorder, x, matrix, branch, tokens)
    yield* see(name, branch, [hiddenSize])
    recorder.run(kernels.residual, [residual, branch], { count: tokens * stride })
  }

  kernels.embed(recorder, weights.embedding, ids, residual, tokens)
  yield* see("hook_embed", residual, [hiddenSize])

  for (const [l, layer] of weights.layers.slice(0, pass.depth).entries()) {
    const block = `blocks.${l}.`
    const keys = cache.keys[l] as GpuBuffer
    const values = cache.values[l] as GpuBuffer
    yield* see(`${block}hook_resid_pre`, residual, [hiddenSize])

    recorder.run(kernels.norm, [residual, layer.inputNorm, normed], { tokens })
    kernels.multiply(recorder, normed, layer.qkv, qkv, tokens)
    yield* see(`${block}attn.hook_q`, qkv, [heads, headDim], qkvStride)
    yield* see(`${block}attn.hook_k`, qkv, [kvHeads, headDim], qkvStride, queryWidth)
    yield* see(`${block}attn.hook_v`, qkv, [kvHeads, headDim], qkvStride, queryWidth + keyWidth)
    recorder.run(kernels.rotary, [qkv, keys, values, rows, positions, rotaryTable], { tokens, capacity })
    yield* see(`${block}attn.hook_rot_q`, qkv, [heads, headDim], qkvStride)
    yield* see(`${block}attn.hook_rot_k`, qkv, [kvHeads, headDim], qkvStride, queryWidth)
    if (edits?.has(`${block}attn.hook_rot_k`)) recorder.run(kernels.storeKeys, [qkv, keys, rows, positions], { tokens, capacity })
    const pattern = watched(`${block}attn.hook_pattern`) ? workspace.pattern(tokens * heads * keyCount * 4) : undefined
    if (pattern) {
      recorder.run(kernels.pattern, [qkv, keys, rows, positions, pattern], { tokens, capacity, keys: keyCount })
      yield* see(`${block}attn.hook_pattern`, pattern, [heads, keyCount], heads * keyCount)
    }
    if (pattern && edits?.has(`${block}attn.hook_pattern`)) {
      recorder.run(kernels.mix, [pattern, values, rows, positions, mixed], { tokens, capacity, keys: keyCount })
    } else {
      recorder.run(kernels.attention, [qkv, keys, values, rows, positions, mixed], { tokens, capacity })
    }
    yield* see(`${block}attn.hook_z`, mixed, [heads, headDim], pad8(queryWidth))
    yield* addProduct(mixed, layer.output, `${block}hook_attn_out`)
    yield* see(`${block}hook_resid_mid`, residual, [hiddenSize])

    recorder.run(kernels.norm, [residual, layer.postNorm, normed], { tokens })
    kernels.multiply(recorder, normed, layer.gateUp, gateUp, tokens)
    yield* see(`${block}mlp.hook_pre`, gateUp, [intermediateSize], gateUpStride)
    yield* see(`${block}mlp.hook_pre_linear`, gateUp, [intermediateSize], gateUpStride, intermediateSize)
    recorder.run(kernels.siluGate, [gateUp, gated], { tokens })
    yield* see(`${block}mlp.hook_post`, gated, [intermediateSize], pad8(intermediateSize))
    yield* addProduct(gated, layer.down, `${block}hook_mlp_out`)
    const steered = steering.layers.get(l)
    if (steered) {
      const steer = steered.addsAlone ? kernels.steerAdd : kernels.steerWays
      recorder.run(steer, [residual, rows, positions, steered.vectors, steered.operations], { tokens, count: steered.count })
    }
    yield* see(`${block}hook_resid_post`, residual, [hiddenSize])
  }

  if (watched(FINAL)) {
    recorder.run(kernels.norm, [residual, weights.ones, normed], { tokens })
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
  } else {
    recorder.run(kernels.norm, [from, weights.finalNorm, selectedNormed], { tokens: count })
  }
  kernels.multiply(recorder, selectedNormed, weights.head, into, count)
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
