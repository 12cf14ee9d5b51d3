import { attention } from "../kernels/attention.ts"
import { attentionMix } from "../kernels/attention-mix.ts"
import { attentionPattern } from "../kernels/attention-pattern.ts"
import { choose } from "../kernels/choose.ts"
import { divergence } from "../kernels/divergence.ts"
import { edit } from "../kernels/edit.ts"
import { embed } from "../kernels/embed.ts"
import { gather } from "../kernels/gather.ts"
import { pad8 } from "../kernels/kernel.ts"
import { logProbs } from "../kernels/log-probs.ts"
import { type MatmulVariant, matmul } from "../kernels/matmul.ts"
import { residual } from "../kernels/residual.ts"
import { rmsNorm } from "../kernels/rms-norm.ts"
import { rotary } from "../kernels/rotary.ts"
import { sample } from "../kernels/sample.ts"
import { chooseMatmul, type KernelShapes, kernelShapes } from "../kernels/shapes.ts"
import { siluGate } from "../kernels/silu-gate.ts"
import { steer } from "../kernels/steer.ts"
import { storeKeys } from "../kernels/store-keys.ts"
import type { LlamaConfig } from "./config.ts"
import type { AdapterFacts, GpuBuffer } from "./device.ts"
import type { MatrixPath } from "./matrix-path.ts"
import { Once } from "./once.ts"
import type { Recorder } from "./recorder.ts"
import type { Matrix } from "./weights.ts"

/** The kernels of one model on one adapter, each made once. */
export class KernelSet {
  readonly norm: ReturnType<typeof rmsNorm>
  readonly gather: ReturnType<typeof gather>
  readonly rotary: ReturnType<typeof rotary>
  readonly attention: ReturnType<typeof attention>
  readonly pattern: ReturnType<typeof attentionPattern>
  readonly mix: ReturnType<typeof attentionMix>
  readonly storeKeys: ReturnType<typeof storeKeys>
  readonly siluGate: ReturnType<typeof siluGate>
  readonly residual: ReturnType<typeof residual>
  readonly steerAdd: ReturnType<typeof steer>
  readonly steerWays: ReturnType<typeof steer>
  /** x times a weight per column: the second half of a norm, after `ln_final.hook_normalized` was edited. */
  readonly scale: ReturnType<typeof edit>
  readonly choose: ReturnType<typeof choose>
  readonly sample: ReturnType<typeof sample>
  readonly logProbs: ReturnType<typeof logProbs>
  readonly divergence: ReturnType<typeof divergence>
  readonly #config: LlamaConfig
  readonly #shapes: KernelShapes
  readonly #made = new Once()

  readonly #matrix: MatrixPath | undefined

  /** Products of many tokens go by `matrix` where it is given. */
  constructor(config: LlamaConfig, facts: AdapterFacts, matrix?: MatrixPath) {
    const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize, rmsNormEps } = config
    const shapes = kernelShapes(facts)
    this.#config = config
    this.#shapes = shapes
    this.#matrix = matrix
    this.norm = rmsNorm({ width: hiddenSize, epsilon: rmsNormEps })
    this.gather = gather({ width: hiddenSize })
    this.rotary = rotary({ heads, kvHeads, headDim })
    this.attention = attention({ heads, kvHeads, headDim, ...shapes.attention })
    this.pattern = attentionPattern({ heads, kvHeads, headDim })
    this.mix = attentionMix({ heads, kvHeads, headDim })
    this.storeKeys = storeKeys({ heads, kvHeads, headDim })
    this.siluGate = siluGate({ width: intermediateSize })
    this.residual = residual()
    this.steerAdd = steer({ width: hiddenSize, addsAlone: true })
    this.steerWays = steer({ width: hiddenSize, addsAlone: false })
    this.scale = edit({ expression: "x * weight", names: ["weight"] })
    this.choose = choose({ vocab: vocabSize, lanes: shapes.vocabularyLanes })
    this.sample = sample({ vocab: vocabSize, lanes: shapes.vocabularyLanes })
    this.logProbs = logProbs({ vocab: vocabSize, lanes: shapes.vocabularyLanes })
    this.divergence = divergence({ vocab: vocabSize, lanes: shapes.vocabularyLanes })
  }

  /** Copies rows of `width` floats. */
  gatherRows(width: number): ReturnType<typeof gather> {
    return this.#made.get(`gather ${width}`, () => gather({ width }))
  }

  /** out [tokens, pad8(hidden)] = the table's rows of `ids`. */
  embed(recorder: Recorder, table: Matrix, ids: GpuBuffer, out: GpuBuffer, tokens: number): void {
    const { vocabSize, hiddenSize } = this.#config
    for (const { type, buffer, firstRow, rows } of table.chunks) {
      const kernel = this.#made.get(`embed ${type}`, () => embed({ vocab: vocabSize, width: hiddenSize, type }))
      recorder.run(kernel, [ids, buffer, out], { tokens, firstRow, chunkRows: rows })
    }
  }

  /** out [tokens, pad8(matrix.rows)] = x [tokens, pad8(matrix.columns)] times the matrix, transposed. */
  multiply(recorder: Recorder, x: GpuBuffer, matrix: Matrix, out: GpuBuffer, tokens: number): void {
    this.#product(recorder, x, matrix, out, { tokens })
  }

  /** into [tokens, pad8(matrix.rows)] += x times the matrix, transposed. */
  multiplyAdd(recorder: Recorder, x: GpuBuffer, matrix: Matrix, into: GpuBuffer, tokens: number): void {
    this.#product(recorder, x, matrix, into, { tokens, adds: true })
  }

  #product(
    recorder: Recorder,
    x: GpuBuffer,
    matrix: Matrix,
    out: GpuBuffer,
    { tokens, adds = false }: { readonly tokens: number; readonly adds?: boolean },
  ): void {
    if (this.#matrix?.takes(matrix, tokens)) {
      return this.#matrix.multiply(recorder, { kind: "plain", x }, matrix, out, { tokens, adds })
    }
    const variant = chooseMatmul(this.#shapes, tokens)
    const outStride = pad8(matrix.rows)
    for (const { type, buffer, firstRow, rows, scale = 1 } of matrix.chunks) {
      const kernel = this.#matmul({ rows, columns: matrix.columns, type, variant, scale })
      recorder.run(kernel, [x, buffer, out], { tokens, outStride, outOffset: firstRow, adds })
    }
  }

  #matmul(shape: Parameters<typeof matmul>[0]): ReturnType<typeof matmul> {
    const { rows, columns, type, variant, scale } = shape
    return this.#made.get(`matmul ${rows} ${columns} ${type} ${scale} ${variantKey(variant)}`, () => matmul(shape))
  }
}

const variantKey = (variant: MatmulVariant): string => Object.values(variant).join(" ")
