import type { Checkpoint } from "./checkpoint.ts"
import { inverseFrequencies, type LlamaConfig } from "./config.ts"
import type { Device, GpuBuffer } from "./device.ts"
import type { EditSet } from "./edits.ts"
import { InputError, NotFiniteError } from "./errors.ts"
import { KernelSet } from "./kernel-set.ts"
import { rotaryValues } from "./llama.ts"
import { partsOf } from "./matmul-choice.ts"
import { type MatmulOptions, type MatmulPath, matmulPath, type Precision, precisionOf } from "./matmul-path.ts"
import { MatrixPath } from "./matrix-path.ts"
import { type Limits, matrixSizes, passLimits, Workspace } from "./memory.ts"
import { type LoadOptions, loadWeights, notFiniteWeights, type Weights } from "./weights.ts"

/** What generation, scoring and capture share: one model's weights on one device, its kernels and its workspace. */
export class Core implements Disposable {
  readonly device: Device
  readonly config: LlamaConfig
  readonly weights: Weights
  readonly kernels: KernelSet
  readonly limits: Limits
  readonly precision: Precision
  readonly #matrix: MatrixPath | undefined
  #workspace: Workspace | undefined
  #rotary: { table: GpuBuffer; positions: number } | undefined

  private constructor(device: Device, config: LlamaConfig, weights: Weights, path: MatmulPath) {
    this.device = device
    this.config = config
    this.weights = weights
    this.limits = passLimits(config, device.maxBinding)
    if (path.mode !== "f32") {
      this.#matrix = new MatrixPath(device, path.unit, partsOf[path.mode], matrixSizes(config), this.limits.tokens)
    }
    this.kernels = new KernelSet(config, device.kernelsFor, this.#matrix)
    this.precision = precisionOf(path, weights.halves)
  }

  static async load(device: Device, checkpoint: Checkpoint, options: LoadOptions & MatmulOptions): Promise<Core> {
    const path = await matmulPath(device, options.matmul)
    return new Core(device, checkpoint.config, await loadWeights(device, checkpoint, options, path.mode !== "f32"), path)
  }

  /**
   * The workspace, grown where it is too small. It is valid until the next call: record and submit before awaiting. A run
   * whose edits wait for the host has one of its own.
   */
  workspace(tokens: number, logitRows: number, edits?: EditSet): Workspace {
    if (edits?.waits) return edits.workspace(tokens, logitRows)
    const current = this.#workspace
    if (current && current.tokens >= tokens && current.logitRows >= logitRows) return current
    current?.dispose()
    this.#workspace = new Workspace(
      this.device,
      this.config,
      Math.max(tokens, current?.tokens ?? 0),
      Math.max(logitRows, current?.logitRows ?? 0),
    )
    return this.#workspace
  }

  /** (cos, sin) for at least `positions` positions. */
  rotaryTable(positions: number): GpuBuffer {
    if (this.#rotary && this.#rotary.positions >= positions) return this.#rotary.table
    this.#rotary?.table.dispose()
    const table = this.device.upload("rotary table", rotaryValues(inverseFrequencies(this.config), positions))
    this.#rotary = { table, positions }
    return table
  }

  /**
   * Checks ids that are about to run, with room for `more` tokens after them.
   * @throws InputError when there are none, when one is outside the vocabulary, or when they exceed the context.
   */
  checkIds(ids: readonly number[], where: string, more = 0): void {
    const { vocabSize, maxPositions } = this.config
    if (ids.length === 0) {
      throw new InputError({ where, expected: "at least one token", found: "an empty prompt", todo: "give it some text" })
    }
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize)
    if (bad !== undefined) {
      throw new InputError({
        where,
        expected: `token ids from 0 to ${vocabSize - 1}`,
        found: `${bad}`,
        todo: "use this model's ids",
      })
    }
    if (ids.length + more > maxPositions) {
      throw new InputError({
        where,
        expected: `at most ${maxPositions} tokens, the model's context`,
        found: more > 0 ? `${ids.length} and ${more} to generate` : `${ids.length}`,
        todo: more > 0 ? "shorten the prompt or ask for fewer tokens" : "shorten the text",
      })
    }
  }

  /**
   * Names the weights that hold NaN or infinity, after a logit was not a number.
   * @throws NotFiniteError always
   */
  async blameNotFinite(where: string): Promise<never> {
    const bad = await notFiniteWeights(this.device, this.weights)
    const cause =
      bad.length > 0
        ? `these weights hold NaN or infinity: ${bad.join(", ")}`
        : "all weights are finite, so an activation overflowed"
    throw new NotFiniteError(`${where}: a logit is not a number; ${cause}`)
  }

  dispose(): void {
    this.#workspace?.dispose()
    this.#rotary?.table.dispose()
    this.#matrix?.dispose()
    for (const buffer of this.weights.buffers) buffer.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Cuts rows of these lengths into neighbouring groups that one pass takes; a row longer than a pass is a group of its own. */
export function groupRows(lengths: readonly number[], limits: Limits): number[][] {
  const groups: number[][] = []
  let tokens = 0
  let longest = 0
  for (const [row, length] of lengths.entries()) {
    const group = groups.at(-1)
    tokens += length
    longest = Math.max(longest, length)
    if (group && tokens <= limits.tokens && group.length < limits.rows(longest)) {
      group.push(row)
    } else {
      groups.push([row])
      tokens = length
      longest = length
    }
  }
  return groups
}
