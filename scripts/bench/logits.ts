import * as z from "zod"
import { checkShape } from "../../src/engine/json.ts"
import { InputError, type Model, RedlineError, type Steering } from "../../src/index.ts"
import { ADDED_VECTOR, type AddedVector, addedVector } from "../added-vector.ts"
import { readJson } from "../program.ts"
import { loadBenchModel, modelFacts } from "./model.ts"
import { columns, digits } from "./numbers.ts"
import type { Benchmark } from "./report.ts"

const numbers = z.array(z.number("a number"), "a list of numbers").min(1, "a list of numbers")
const referenceShape = z.object({ ids: numbers, logits: numbers }, "an object with ids and logits")

/** The logits of a prompt's last token beside those that another engine wrote (`{ids, logits}`, as hf_baseline.py does). */
export const logitsBenchmark: Benchmark = {
  options: { against: undefined, ...ADDED_VECTOR },
  async run(context) {
    const { options } = context
    const file = options.required("against", "name the JSON that «hf_baseline.py logits» wrote")
    const reference = checkShape(referenceShape, await readJson(file), file)
    const added = await addedVector(options)
    const steering = added ? [steeringBy(added)] : []
    await using loaded = await loadBenchModel(context)
    const own = await lastLogits(loaded.model, reference.ids, steering)
    if (own.length !== reference.logits.length) {
      const [expected, found] = [`${own.length} logits`, `${reference.logits.length}`]
      throw new InputError({ where: file, expected, found, todo: "use the same model" })
    }
    const compared = compareLogits(own, Float64Array.from(reference.logits))
    const lines = [
      `${loaded.model.name}: the last logits of ${reference.ids.length} tokens${steering.length > 0 ? ", steered" : ""}, beside ${file}`,
      ...columns([
        ["largest difference", digits(compared.worst)],
        ["  of the logits' deviation", digits(compared.worst / compared.deviation)],
        ["mean difference", digits(compared.mean)],
        ["Kullback-Leibler divergence, nats", compared.divergence.toExponential(1)],
        ["the same token first", compared.sameFirst ? "yes" : "no"],
        ["of the first 5 shared", `${compared.sharedOfFive}`],
      ]),
    ]
    return { lines, json: { ...modelFacts(loaded), against: file, steered: steering.length > 0, ...compared } }
  },
}

function steeringBy({ layer, vector, coefficient }: AddedVector): Steering {
  return { vector: { directions: new Map([[layer, Float32Array.from(vector)]]) }, coefficient }
}

async function lastLogits(model: Model, ids: readonly number[], steering: readonly Steering[]): Promise<Float64Array> {
  const { logits } = await model.run([ids], { at: "last", steering })
  if (!logits) throw new RedlineError("the run gave no logits")
  return Float64Array.from(logits.data)
}

/** How far two engines' logits are apart. */
export interface ComparedLogits {
  readonly worst: number
  readonly mean: number
  /** The standard deviation of the reference. */
  readonly deviation: number
  /** Of the own predictions from the reference's. */
  readonly divergence: number
  readonly sameFirst: boolean
  readonly sharedOfFive: number
}

/** Compares logits [vocab] with a reference. */
export function compareLogits(own: Float64Array, reference: Float64Array): ComparedLogits {
  const size = own.length
  const differences = own.map((x, i) => Math.abs(x - (reference[i] as number)))
  const average = reference.reduce((sum, x) => sum + x, 0) / size
  const [p, q] = [logSoftmax(reference), logSoftmax(own)]
  const first = (logits: Float64Array): number[] =>
    Array.from(logits.keys())
      .sort((a, b) => (logits[b] as number) - (logits[a] as number))
      .slice(0, 5)
  const [ownFirst, referenceFirst] = [first(own), first(reference)]
  return {
    worst: differences.reduce((most, x) => (x > most || Number.isNaN(x) ? x : most), 0),
    mean: differences.reduce((sum, x) => sum + x, 0) / size,
    deviation: Math.sqrt(reference.reduce((sum, x) => sum + (x - average) ** 2, 0) / size),
    divergence: p.reduce((sum, x, i) => sum + Math.exp(x) * (x - (q[i] as number)), 0),
    sameFirst: ownFirst[0] === referenceFirst[0],
    sharedOfFive: ownFirst.filter((id) => referenceFirst.includes(id)).length,
  }
}

function logSoftmax(logits: Float64Array): Float64Array {
  const most = logits.reduce((max, x) => Math.max(max, x), -Infinity)
  const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0))
  return logits.map((x) => x - most - total)
}
