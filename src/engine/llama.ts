import { pad8 } from "../kernels/kernel.ts"
import type { Capture } from "./capture.ts"
import type { LlamaConfig } from "./config.ts"
import type { GpuBuffer } from "./device.ts"
import type { KernelSet } from "./kernel-set.ts"
import type { KvCache, Workspace } from "./memory.ts"
import type { Recorder } from "./recorder.ts"
import type { SteeringBuffers } from "./steer.ts"
import type { Weights } from "./weights.ts"

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
  readonly batch: Batch
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

/**
 * The Llama 3 forward pass over the tokens of a batch, in reading order: from their ids to the residual stream after the
 * last layer, in `workspace.residual`. Their keys and values are added to the cache.
 */
export function forward(recorder: Recorder, pass: Pass): void {
  const { config, weights, kernels, cache, rotaryTable, steering, capture } = pass
  const { tokens, ids, rows, positions } = pass.batch
  const { residual, normed, qkv, heads, branch, gateUp, gated } = pass.workspace.buffers
  const { capacity } = cache
  const stride = pad8(config.hiddenSize)
  const queryWidth = config.heads * config.headDim
  const keyWidth = config.kvHeads * config.headDim
  const qkvStride = pad8(queryWidth + 2 * keyWidth)
  const tap = (name: string, buffer: GpuBuffer, from = 0, rowStride = stride): void =>
    capture?.tap(recorder, name, buffer, from, rowStride, tokens)
  const add = (layerOutput: GpuBuffer): void =>
    recorder.run(kernels.residual, [residual, layerOutput], { count: tokens * stride })

  kernels.embed(recorder, weights.embedding, ids, residual, tokens)
  tap("hook_embed", residual)

  for (const [l, layer] of weights.layers.entries()) {
    const block = `blocks.${l}.`
    const keys = cache.keys[l] as GpuBuffer
    const values = cache.values[l] as GpuBuffer
    tap(`${block}hook_resid_pre`, residual)

    recorder.run(kernels.norm, [residual, layer.inputNorm, normed], { tokens })
    kernels.multiply(recorder, normed, layer.qkv, qkv, tokens)
    tap(`${block}attn.hook_q`, qkv, 0, qkvStride)
    tap(`${block}attn.hook_k`, qkv, queryWidth, qkvStride)
    tap(`${block}attn.hook_v`, qkv, queryWidth + keyWidth, qkvStride)
    recorder.run(kernels.rotary, [qkv, keys, values, rows, positions, rotaryTable], { tokens, capacity })
    tap(`${block}attn.hook_rot_q`, qkv, 0, qkvStride)
    tap(`${block}attn.hook_rot_k`, qkv, queryWidth, qkvStride)
    capture?.tapPattern(recorder, `${block}attn.hook_pattern`, [qkv, keys, rows, positions], tokens, capacity)
    recorder.run(kernels.attention, [qkv, keys, values, rows, positions, heads], { tokens, capacity })
    tap(`${block}attn.hook_z`, heads, 0, pad8(queryWidth))
    kernels.multiply(recorder, heads, layer.output, branch, tokens)
    tap(`${block}hook_attn_out`, branch)
    add(branch)
    tap(`${block}hook_resid_mid`, residual)

    recorder.run(kernels.norm, [residual, layer.postNorm, normed], { tokens })
    kernels.multiply(recorder, normed, layer.gateUp, gateUp, tokens)
    tap(`${block}mlp.hook_pre`, gateUp, 0, pad8(2 * config.intermediateSize))
    tap(`${block}mlp.hook_pre_linear`, gateUp, config.intermediateSize, pad8(2 * config.intermediateSize))
    recorder.run(kernels.siluGate, [gateUp, gated], { tokens })
    tap(`${block}mlp.hook_post`, gated, 0, pad8(config.intermediateSize))
    kernels.multiply(recorder, gated, layer.down, branch, tokens)
    tap(`${block}hook_mlp_out`, branch)
    add(branch)
    const steered = steering.layers.get(l)
    if (steered) {
      recorder.run(kernels.steer, [residual, rows, steered.vectors, steered.coefficients], { tokens, count: steered.count })
    }
    tap(`${block}hook_resid_post`, residual)
  }

  if (capture?.wants("ln_final.hook_normalized")) {
    recorder.run(kernels.norm, [residual, weights.ones, normed], { tokens })
    tap("ln_final.hook_normalized", normed)
  }
}

/** The logits [count, pad8(vocab)], in `workspace.logits`, of `count` rows of the residual stream after the last layer. */
export function unembed(
  recorder: Recorder,
  pass: Pick<Pass, "weights" | "kernels" | "workspace">,
  residual: GpuBuffer,
  count: number,
): void {
  const { weights, kernels } = pass
  const { selectedNormed, logits } = pass.workspace.buffers
  recorder.run(kernels.norm, [residual, weights.finalNorm, selectedNormed], { tokens: count })
  kernels.multiply(recorder, selectedNormed, weights.head, logits, count)
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
