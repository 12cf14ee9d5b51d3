import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Model } from "../../src/engine/model.ts"
import { bitsOf } from "../helpers/gpu.ts"
import { randomModel } from "../helpers/models.ts"
import { expectClose, random } from "../helpers/numbers.ts"
import type { ReferenceLlama } from "../reference/llama.ts"
import { logSoftmax, nextLogProbs } from "../reference/llama.ts"

let model: Model
let reference: ReferenceLlama
beforeAll(async () => {
  ;({ model, reference } = await randomModel({ seed: 21, layers: 2, dtypes: ["BF16"] }))
})
afterAll(() => model.dispose())

const vocab = 519
const next = random(3)
const randomIds = (length: number): number[] => Array.from({ length }, () => Math.floor(((next() + 1) / 2) * vocab))
const direction = Float32Array.from({ length: 120 }, () => next())
const vector = { directions: new Map([[1, direction]]) }

const prompt = randomIds(11)
const others = [randomIds(3), randomIds(29), randomIds(11)]
const strangers = [randomIds(5), randomIds(17), randomIds(2)]

describe("a row's bits", () => {
  test("do not depend on the other rows", async () => {
    const runs = await Promise.all([
      model.run([prompt, ...others]),
      model.run([prompt, ...strangers]),
      model.run([prompt, ...others], { steering: [{ vector, coefficient: [0, 5, -3, 1] }] }),
    ])
    const own = runs.map(({ logits }) => bitsOf(logits!.data.slice(0, prompt.length * vocab)))
    expect(own[1]).toEqual(own[0])
    expect(own[2]).toEqual(own[0])
  })

  test("are the same from run to run", async () => {
    const [a, b] = [await model.run([prompt, ...others]), await model.run([prompt, ...others])]
    expect(bitsOf(b.logits!.data)).toEqual(bitsOf(a.logits!.data))
  })

  test("agree to rounding with the row run alone", async () => {
    const together = await model.run([prompt, ...others])
    const alone = await model.run([prompt])
    const size = prompt.length * vocab
    expectClose(together.logits!.data.subarray(0, size), alone.logits!.data.subarray(0, size), { absolute: 1e-4, relative: 1e-5 })
  })
})

describe("generation", () => {
  const steering = [{ vector, coefficient: 1.5 }]
  const reference32 = (ids: readonly number[], penalty: number, steered: boolean) =>
    reference.greedy(ids, 32, {
      penalty,
      eosIds: model.endIds,
      steering: steered ? [{ layer: 1, vector: direction, coefficient: 1.5 }] : [],
    })

  test.each([
    { penalty: 1, steered: false },
    { penalty: 1.1, steered: false },
    { penalty: 1.3, steered: true },
  ])("greedy tokens of a batch equal the reference's, penalty $penalty, steered $steered", async ({ penalty, steered }) => {
    const prompts = [prompt, ...others]
    const completions = await model.complete(prompts, { repetitionPenalty: penalty, steering: steered ? steering : [] })
    for (const [row, { ids, stopped }] of completions.entries()) {
      const expected = reference32(prompts[row]!, penalty, steered)
      // Beyond a tie closer than 1e-3 the two may go different ways.
      const sure = expected.gaps.findIndex((gap) => gap < 1e-3)
      const count = sure < 0 ? expected.ids.length : sure
      expect(count).toBeGreaterThan(4)
      expect(ids.slice(0, count)).toEqual(expected.ids.slice(0, count))
      if (sure < 0) expect(stopped).toBe(model.endIds.includes(expected.ids.at(-1)!) ? "end" : "length")
    }
  })

  test("per-row coefficients give what each alone gives", async () => {
    const coefficients = [0, 0.5, 1.5, 4]
    const batch = await model.complete(
      coefficients.map(() => prompt),
      { tokens: 16, steering: [{ vector, coefficient: coefficients }] },
    )
    for (const [row, coefficient] of coefficients.entries()) {
      const [alone] = await model.complete([prompt], { tokens: 16, steering: [{ vector, coefficient }] })
      expect(batch[row]!.ids).toEqual(alone!.ids)
    }
  })

  test("a row ends at an end token, which it keeps, and the others go on", async () => {
    const [free] = await model.complete([prompt], { tokens: 12, endIds: [] })
    const end = free!.ids[4]!
    const first = free!.ids.indexOf(end)
    const [ended, other] = await model.complete([prompt, others[1]!], { tokens: 12, endIds: [end] })
    expect(ended).toEqual({ ids: free!.ids.slice(0, first + 1), logprobs: undefined, stopped: "end" })
    expect(other!.ids.length).toBeGreaterThan(0)
  })

  test("log-probs are those of the model that generated", async () => {
    const [completion] = await model.complete([prompt], {
      tokens: 9,
      logprobs: true,
      repetitionPenalty: 1.2,
      steering,
      endIds: [],
    })
    const ids = [...prompt, ...completion!.ids]
    const { logits } = reference.forward(ids, { steering: [{ layer: 1, vector: direction, coefficient: 1.5 }] })
    expectClose(completion!.logprobs!, nextLogProbs(logits, ids).slice(prompt.length - 1), { absolute: 2e-4, relative: 0 })
  })

  test("sampling repeats with its seed, and differs with another", async () => {
    const draw = async (seed: number) =>
      (await model.complete([prompt, prompt], { tokens: 12, temperature: 1, seed })).map(({ ids }) => ids)
    const [a, b] = await draw(1)
    expect(await draw(1)).toEqual([a, b])
    expect(a).not.toEqual(b)
    // Row 0 with seed 2 is row 1 with seed 1.
    expect((await draw(2))[0]).toEqual(b)
  })

  test("token by token it gives what a batch gives, also when other work runs between", async () => {
    const ids: number[] = []
    for await (const { id } of model.generateTokens(prompt, { tokens: 10 })) {
      ids.push(id)
      await model.run([others[1]!])
    }
    expect(ids).toEqual((await model.complete([prompt], { tokens: 10 }))[0]!.ids)
  })

  test("stops at a signal", async () => {
    const controller = new AbortController()
    const seen: number[] = []
    const generate = async () => {
      for await (const { id } of model.generateTokens(prompt, { tokens: 30, endIds: [], signal: controller.signal })) {
        seen.push(id)
        if (seen.length === 3) controller.abort()
      }
    }
    await expect(generate()).rejects.toThrow(/abort/i)
    expect(seen.length).toBe(3)
  })
})

describe("scoring", () => {
  test("log-probs, vocabulary means and entropies agree with float64", async () => {
    const sequences = [prompt, ...others].map((ids, i) => ({ ids, from: i === 0 ? 4 : 1 }))
    const scores = await model.score(sequences)
    for (const [row, { ids, from }] of sequences.entries()) {
      const { logits } = reference.forward(ids)
      const rows = logits.slice(from - 1, -1).map((one) => logSoftmax(one))
      expectClose(scores[row]!.logprobs, nextLogProbs(logits, ids).slice(from - 1), { absolute: 1e-4, relative: 0 })
      expectClose(
        scores[row]!.vocabMeans,
        rows.map((lp) => lp.reduce((a, b) => a + b, 0) / vocab),
        { absolute: 1e-4, relative: 0 },
      )
      expectClose(
        scores[row]!.entropies,
        rows.map((lp) => -lp.reduce((a, b) => a + Math.exp(b) * b, 0)),
        { absolute: 1e-4, relative: 0 },
      )
    }
  })

  test("a sequence longer than one pass runs in pieces", async () => {
    const long = randomIds(400)
    const whole = (await model.score([{ ids: long, from: 1 }]))[0]!
    const narrow = await randomModel({ seed: 21, layers: 2, dtypes: ["BF16"] }, await narrowDevice())
    using owned = narrow.model
    const pieces = (
      await owned.score([
        { ids: long, from: 1 },
        { ids: prompt, from: 1 },
      ])
    )[0]!
    expectClose(pieces.logprobs, whole.logprobs, { absolute: 1e-4, relative: 0 })
    const [completion] = await owned.complete([long], { tokens: 5, endIds: [] })
    expect(completion!.ids).toEqual((await model.complete([long], { tokens: 5, endIds: [] }))[0]!.ids)
    owned.device.dispose()
  })
})

/** A device whose bindings hold few tokens: 656 floats of gate and up each. */
async function narrowDevice() {
  const { openDevice } = await import("../../src/node/dawn.ts")
  return openDevice({ debug: true, maxBinding: 200 * 1024 })
}
