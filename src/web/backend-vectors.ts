import { InputError } from "../engine/errors.ts"
import { show } from "../engine/json.ts"
import type { Model } from "../engine/model.ts"
import { checkPair, type Pair } from "../steering/pairs.ts"
import { trainVector } from "../steering/train.ts"
import type { SteeringVector } from "../steering/vector.ts"
import type { ModelPool } from "./backend-models.ts"
import type { SteeringChoice, VectorChoice } from "./protocol.ts"

/** A vector of the catalogue: made already, or by the mean of its pairs when it is first used. */
export type NamedVector = { readonly name: string; readonly vector: SteeringVector } | PairsVector

export interface PairsVector {
  readonly name: string
  readonly topic: string
  pairs(): Promise<readonly Pair[]>
  /** The vector of all layers that was trained from the pairs on a model before, where it was. */
  trained?(model: string): Promise<SteeringVector | undefined>
}

export type OnTraining = (done: number, total: number) => void

/** Trained vectors to keep at most. */
const KEPT = 64

/** The catalogue's vectors and those that visitors describe. What was trained is kept, so that it is trained once. */
export class Vectors {
  readonly #models: ModelPool
  readonly #named: ReadonlyMap<string, NamedVector>
  /** At all layers, by model and source, in the order of their last use. */
  readonly #trained = new Map<string, SteeringVector>()

  constructor(models: ModelPool, named: readonly NamedVector[]) {
    this.#models = models
    this.#named = new Map(named.map((one) => [one.name, one]))
  }

  /** What there is to choose from; a vector whose layers differ from model to model is there once for each set of layers. */
  async choices(): Promise<VectorChoice[]> {
    const models = await this.#models.choices()
    const layersOf = await Promise.all(models.map(({ name }) => this.#models.layers(name)))
    return [...this.#named.values()].flatMap((one): VectorChoice[] => {
      const { name } = one
      if ("vector" in one) {
        const fitting = models.filter((model) => fits(one.vector, model)).map((model) => model.name)
        return fitting.length === 0 ? [] : [{ name, models: fitting, layers: one.vector.layers, topic: undefined }]
      }
      const sets = new Map(layersOf.map((layers) => [layers.join(), layers]))
      return [...sets].map(([key, layers]) => {
        const steeredThere = models.filter((_, i) => layersOf[i]?.join() === key).map((model) => model.name)
        return { name, models: steeredThere, layers, topic: one.topic }
      })
    })
  }

  /**
   * The vector at the layers of the choice; undefined where it has to be trained first.
   * @throws InputError for a name that is not in the catalogue, or layers that the vector has not.
   */
  async known(choice: SteeringChoice): Promise<SteeringVector | undefined> {
    const one = this.#find(choice)
    if (one && "vector" in one) return choice.layers ? one.vector.select(choice.layers) : one.vector
    const key = keyOf(choice)
    const trained = this.#trained.get(key)
    if (!trained) return undefined
    this.#trained.delete(key)
    this.#trained.set(key, trained)
    return trained.select(choice.layers ?? (await this.#models.layers(choice.model)))
  }

  /**
   * Trains the vector, where that has not been done meanwhile. Every layer is trained: it costs nothing beside the pairs' run.
   * @throws InputError for pairs that show no difference, or layers that the model has not.
   */
  async train(model: Model, choice: SteeringChoice, signal: AbortSignal, onTraining: OnTraining): Promise<SteeringVector> {
    const known = await this.known(choice)
    if (known) return known
    checkLayers(choice.layers ?? [], model.config.layers)
    this.#trained.set(
      keyOf(choice),
      (await this.#trainedBefore(choice)) ?? (await this.#trainNow(model, choice, signal, onTraining)),
    )
    const [oldest] = this.#trained.keys()
    if (this.#trained.size > KEPT && oldest !== undefined) this.#trained.delete(oldest)
    return (await this.known(choice)) as SteeringVector
  }

  async #trainedBefore(choice: SteeringChoice): Promise<SteeringVector | undefined> {
    const one = this.#find(choice)
    return one && "pairs" in one ? one.trained?.(choice.model) : undefined
  }

  async #trainNow(model: Model, choice: SteeringChoice, signal: AbortSignal, onTraining: OnTraining): Promise<SteeringVector> {
    const { pairs, from } = await this.#pairsOf(choice)
    const onProgress = ({ done, total }: { done: number; total: number }): void => onTraining(done, total)
    onTraining(0, pairs.length)
    return trainVector(model, pairs, { createdFrom: from, signal, onProgress })
  }

  /** The catalogue's vector that is asked for; undefined where a visitor describes one. @throws InputError */
  #find({ vector }: SteeringChoice): NamedVector | undefined {
    if (!("name" in vector)) return undefined
    const one = this.#named.get(vector.name)
    if (one) return one
    throw new InputError({ where: "vector", expected: "one of the catalogue", found: show(vector.name) })
  }

  async #pairsOf(choice: SteeringChoice): Promise<{ pairs: readonly Pair[]; from: string }> {
    const one = this.#find(choice)
    if (one && "pairs" in one) {
      const pairs = await one.pairs()
      return { pairs, from: `${pairs.length} pairs of ${one.name}` }
    }
    const pair = choice.vector as Pair
    checkPair(pair, "vector")
    return { pairs: [pair], from: `«${pair.positive}» against «${pair.negative}»` }
  }
}

function fits(vector: SteeringVector, model: { readonly layers: number; readonly hiddenSize: number }): boolean {
  return vector.width === model.hiddenSize && vector.layers.every((layer) => layer < model.layers)
}

/** Before anything is trained for them. */
function checkLayers(layers: readonly number[], count: number): void {
  const beyond = layers.filter((layer) => layer >= count)
  if (beyond.length === 0) return
  throw new InputError({ where: "layers", expected: `layers 0 to ${count - 1}, the model's`, found: beyond.join(", ") })
}

/** All that a trained vector depends on but its layers: the catalogue's pairs do not change. */
const keyOf = ({ model, vector }: SteeringChoice): string =>
  JSON.stringify("name" in vector ? [model, vector.name] : [model, vector.positive, vector.negative])
