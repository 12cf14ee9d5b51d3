import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Model } from "../../src/engine/model.ts"
import type { Steering, SteeringPositions } from "../../src/engine/steer.ts"
import { randomModel } from "../helpers/models.ts"
import { expectClose, random } from "../helpers/numbers.ts"
import type { ReferenceLlama } from "../reference/llama.ts"

const vocab = 131
const width = 60
const layer = 1
let model: Model
let reference: ReferenceLlama
beforeAll(async () => {
  ;({ model, reference } = await randomModel({ seed: 41, vocab, layers: 3, hidden: width, intermediate: 92, headDim: 12 }))
})
afterAll(() => model.dispose())

const next = random(5)
const direction = Float32Array.from({ length: width }, () => next())
const vector = { directions: new Map([[layer, direction]]) }
const prompt = Array.from({ length: 11 }, () => Math.floor(((next() + 1) / 2) * vocab))

/** The reference's logits at all positions, with the vector added at those positions alone. */
function expectedLogits(ids: readonly number[], coefficient: number, at: (position: number) => boolean): Float64Array {
  const edit = (name: string, values: Float64Array): void => {
    if (name !== `blocks.${layer}.hook_resid_post`) return
    for (let i = 0; i < values.length; i++) if (at(Math.floor(i / width))) values[i]! += coefficient * direction[i % width]!
  }
  return Float64Array.from(reference.forward(ids, { edit }).logits.flatMap((row) => [...row]))
}

describe("positions", () => {
  const cases: { positions: SteeringPositions; at: (position: number) => boolean }[] = [
    { positions: "all", at: () => true },
    { positions: "prompt", at: () => true },
    { positions: "generated", at: () => false },
    { positions: "last", at: (p) => p === 10 },
    { positions: [2, 5], at: (p) => p >= 2 && p < 5 },
    { positions: [-3, Infinity], at: (p) => p >= 8 },
    { positions: [-3, -1], at: (p) => p === 8 || p === 9 },
  ]
  test.each(cases)("$positions of a prompt", async ({ positions, at }) => {
    const { logits } = await model.run([prompt], { steering: [{ vector, coefficient: 2, positions }] })
    expectClose(logits!.data, expectedLogits(prompt, 2, at), { absolute: 2e-4, relative: 2e-4 })
  })

  test("a list gives each row its own, beside its own coefficient", async () => {
    const positions = cases.map((one) => one.positions)
    const coefficient = cases.map((_, row) => 1 + row / 4)
    const { logits } = await model.run(
      cases.map(() => prompt),
      { steering: [{ vector, coefficient, positions }] },
    )
    const size = prompt.length * vocab
    for (const [row, { at }] of cases.entries()) {
      const own = logits!.data.subarray(row * size, (row + 1) * size)
      expectClose(own, expectedLogits(prompt, coefficient[row]!, at), { absolute: 2e-4, relative: 2e-4 }, `row ${row}`)
    }
  })

  test.each(["prompt", "generated", "last"] as const)(
    "%s while generating: scoring with the same gives the same log-probs",
    async (positions) => {
      const steering: Steering[] = [{ vector, coefficient: 3, positions }]
      const [completion] = await model.complete([prompt], { tokens: 10, logprobs: true, steering, endIds: [] })
      const ids = [...prompt, ...completion!.ids]
      const at = (p: number): boolean => (positions === "prompt" ? p < 11 : positions === "last" ? p === 10 : p >= 11)
      const logits = expectedLogits(ids, 3, at)
      const expected = completion!.ids.map((id, i) => {
        const row = logits.subarray((10 + i) * vocab, (11 + i) * vocab)
        return row[id]! - Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0))
      })
      expectClose(completion!.logprobs!, expected, { absolute: 2e-4, relative: 0 })
      const [scores] = await model.score([{ ids, from: prompt.length }], { steering })
      expectClose(scores!.logprobs, expected, { absolute: 2e-4, relative: 0 })
    },
  )
})

describe("repeng's equivalences hold token by token", () => {
  const tokens = async (steering: readonly Steering[]): Promise<readonly number[]> =>
    (await model.complete([prompt], { tokens: 12, steering, endIds: [] }))[0]!.ids
  const scaled = (c: number): Steering => ({
    vector: { directions: new Map([[layer, direction.map((x) => x * c)]]) },
    coefficient: 1,
  })

  test("c times v is the same as coefficient or as a scaled vector", async () => {
    for (const c of [2, -2, 0.5]) expect(await tokens([{ vector, coefficient: c }])).toEqual(await tokens([scaled(c)]))
  })

  test("v - v, 0 v and no vector are the same", async () => {
    const none = await tokens([])
    expect(await tokens([{ vector, coefficient: 0 }])).toEqual(none)
    expect(
      await tokens([
        { vector, coefficient: 1 },
        { vector, coefficient: -1 },
      ]),
    ).toEqual(none)
    expect(await tokens([scaled(0)])).toEqual(none)
    expect(await tokens([{ vector, coefficient: 4 }])).not.toEqual(none)
  })

  test("a negative coefficient is the negated vector's", async () => {
    expect(await tokens([{ vector, coefficient: -3 }])).toEqual(await tokens([{ ...scaled(-1), coefficient: 3 }]))
  })
})

describe("bad steering is refused", () => {
  const cases: { name: string; steering: Steering; says: RegExp }[] = [
    {
      name: "another width",
      steering: { vector: { directions: new Map([[1, new Float32Array(5)]]) }, coefficient: 1 },
      says: /width 60, the model's, found width 5/,
    },
    {
      name: "a layer the model has not",
      steering: { vector, coefficient: 1, layers: [3] },
      says: /layers 0 to 2 of this model, found layer 3/,
    },
    {
      name: "a layer the vector has not",
      steering: { vector, coefficient: 1, layers: [0] },
      says: /a layer of the vector \(1\), found layer 0/,
    },
    { name: "too few coefficients", steering: { vector, coefficient: [] }, says: /for every row, found undefined for row 0/ },
    { name: "no number", steering: { vector, coefficient: Number.NaN }, says: /found NaN for row 0/ },
    {
      name: "positions that are none",
      steering: { vector, coefficient: 1, positions: "first" as never },
      says: /found "first" for row 0/,
    },
  ]
  test.each(cases)("$name", async ({ steering, says }) => {
    await expect(model.run([prompt], { steering: [steering] })).rejects.toThrow(says)
  })
})
