import { norm } from "./numbers.ts"
import { orient, principalDirection } from "./pca.ts"

/** How the differences of pairs become a direction: see {@link trainVector}. */
export type TrainingMethod = "mean" | "pca-center" | "pca-diff"

export const trainingMethods: readonly TrainingMethod[] = ["mean", "pca-center", "pca-diff"]

/** Takes the pairs of one layer in ascending order and makes a direction of each of some subsets of them. */
export interface Learner {
  add(pair: number, positive: Float32Array, negative: Float32Array): void
  /** A direction [width] for each subset; undefined where its pairs show none. */
  directions(): (Float32Array | undefined)[]
}

/** A learner of `method` for directions of `width` numbers. */
export function createLearner(method: TrainingMethod, width: number, subsets: readonly (readonly number[])[]): Learner {
  return method === "mean" ? new MeanLearner(width, subsets) : new PrincipalLearner(subsets, method === "pca-diff")
}

/** The bytes that a learner keeps for each pair: `mean` needs sums alone. */
export function bytesPerPair(method: TrainingMethod, width: number): number {
  return method === "mean" ? 0 : width * Float32Array.BYTES_PER_ELEMENT
}

class MeanLearner implements Learner {
  readonly #subsets: readonly { readonly sum: Float64Array; readonly members: ReadonlySet<number> }[]

  constructor(width: number, subsets: readonly (readonly number[])[]) {
    this.#subsets = subsets.map((members) => ({ sum: new Float64Array(width), members: new Set(members) }))
  }

  add(pair: number, positive: Float32Array, negative: Float32Array): void {
    for (const { sum, members } of this.#subsets) {
      if (!members.has(pair)) continue
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + ((positive[i] as number) - (negative[i] as number))
    }
  }

  directions(): (Float32Array | undefined)[] {
    return this.#subsets.map(({ sum, members }) =>
      norm(sum) === 0 ? undefined : Float32Array.from(sum, (x) => x / members.size),
    )
  }
}

class PrincipalLearner implements Learner {
  readonly #differences: Float32Array[] = []
  readonly #subsets: readonly (readonly number[])[]
  readonly #centred: boolean

  constructor(subsets: readonly (readonly number[])[], centred: boolean) {
    this.#subsets = subsets
    this.#centred = centred
  }

  add(pair: number, positive: Float32Array, negative: Float32Array): void {
    this.#differences[pair] = positive.map((x, i) => x - (negative[i] as number))
  }

  directions(): (Float32Array | undefined)[] {
    return this.#subsets.map((members) => {
      const rows = members.map((pair) => this.#differences[pair] as Float32Array)
      const direction = principalDirection(rows, { centred: this.#centred })
      return direction && Float32Array.from(orient(direction, rows))
    })
  }
}
