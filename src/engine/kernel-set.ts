import { attentionDecode } from "../kernels/attention-decode.ts"
import { attention } from "../kernels/attention.ts"
import { attentionMix } from "../kernels/attention-mix.ts"
import { attentionPattern } from "../kernels/attention-pattern.ts"
import { choose } from "../kernels/choose.ts"
import { divergence } from "../kernels/divergence.ts"
import { edit } from "../kernels/edit.ts"
import { embed } from "../kernels/embed.ts"
import { gather } from "../kernels/gather.ts"
import { logProbs } from "../kernels/log-probs.ts"
import { rotary } from "../kernels/rotary.ts"
import { sample } from "../kernels/sample.ts"
import { kernelShapes, type ShapeFacts } from "../kernels/shapes.ts"
import { steer } from "../kernels/steer.ts"
import { storeKeys } from "../kernels/store-keys.ts"
import type { LlamaConfig } from "./config.ts"
import type { GpuBuffer } from "./device.ts"
import type { MatrixPath } from "./matrix-path.ts"
import { Once } from "./once.ts"
import { Products } from "./products.ts"
import type { Recorder } from "./recorder.ts"
import type { Matrix } from "./weights.ts"

/** The kernels of one model on one adapter, each made once. */
export class KernelSet {
  readonly products: Products
  readonly gather: ReturnType<typeof gather>
  readonly rotary: ReturnType<typeof rotary>
  readonly attention: ReturnType<typeof attention>
  /** Rotary embedding, the cache and attention in one, for passes with one token a row; undefined where that is not quicker. */
  readonly attentionDecode: ReturnType<typeof attentionDecode> | undefined
  readonly pattern: ReturnType<typeof attentionPattern>
  readonly mix: ReturnType<typeof attentionMix>
  readonly storeKeys: ReturnType<typeof storeKeys>
  readonly steerAdd: ReturnType<typeof steer>
  readonly steerWays: ReturnType<typeof steer>
  /** x times a weight per column: the second half of a norm, after `ln_final.hook_normalized` was edited. */
  readonly scale: ReturnType<typeof edit>
  readonly choose: ReturnType<typeof choose>
  readonly sample: ReturnType<typeof sample>
  readonly logProbs: ReturnType<typeof logProbs>
  readonly divergence: ReturnType<typeof divergence>
  readonly #config: LlamaConfig
  readonly #made = new Once()

  /** Products of many tokens go by `matrix` where it is given. */
  constructor(config: LlamaConfig, facts: ShapeFacts, matrix?: MatrixPath) {
    const { hiddenSize, heads, kvHeads, headDim, vocabSize } = config
    const shapes = kernelShapes(facts)
    this.#config = config
    this.products = new Products(config, shapes, matrix)
    this.gather = gather({ width: hiddenSize })
    this.rotary = rotary({ heads, kvHeads, headDim })
    this.attention = attention({ heads, kvHeads, headDim, ...shapes.attention })
    this.attentionDecode = shapes.attention.decodes ? attentionDecode({ heads, kvHeads, headDim }) : undefined
    this.pattern = attentionPattern({ heads, kvHeads, headDim })
    this.mix = attentionMix({ heads, kvHeads, headDim })
    this.storeKeys = storeKeys({ heads, kvHeads, headDim })
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
}
