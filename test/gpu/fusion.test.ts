import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Device } from "../../src/engine/device.ts"
import type { Model } from "../../src/engine/model.ts"
import { Profiler } from "../../src/engine/profiler.ts"
import type { Steering } from "../../src/engine/steer.ts"
import { openDevice } from "../../src/node.ts"
import { randomModel } from "../helpers/models.ts"
import { expectClose, random } from "../helpers/numbers.ts"
import type { ReferenceLlama } from "../reference/llama.ts"

const LAYERS = 3
const next = random(3)
const randomIds = (length: number): number[] => Array.from({ length }, () => Math.floor(((next() + 1) / 2) * 519))
const direction = Float32Array.from({ length: 120 }, () => next())
const vector = { directions: new Map([[1, direction]]) }
const prompt = randomIds(11)

describe("a GPU's kernels", () => {
  let device: Device
  let model: Model
  let reference: ReferenceLlama
  beforeAll(async () => {
    device = await openDevice({ debug: true, kernels: "gpu" })
    ;({ model, reference } = await randomModel({ seed: 21, layers: LAYERS, dtypes: ["BF16"] }, device))
  })
  afterAll(() => {
    model.dispose()
    device.dispose()
  })

  /** The labels of the kernels of one decoding step's layer, in their order. */
  async function kernelsOfALayer(steering: readonly Steering[]): Promise<string[]> {
    const labels: string[] = []
    const profiler = new Profiler(device)
    device.profiler = profiler
    const record = profiler.next.bind(profiler)
    profiler.next = (dispatch) => {
      labels.push(dispatch.label)
      return record(dispatch)
    }
    await model.complete([prompt, randomIds(11)], { tokens: 2, steering })
    device.profiler = undefined
    await profiler.take()
    const step = labels.slice(labels.findLastIndex((label) => label.startsWith("embed")) + 1)
    const ofLayers = step.slice(0, step.findIndex((label) => label.startsWith("choose")) - 1)
    expect(ofLayers.length % LAYERS).toBeLessThanOrEqual(1)
    const second = step.slice(5, ofLayers.length - 5)
    return second.map((label) => label.replace(/ (reduce|tile|decode).*| \[.*/, ""))
  }

  test("need five dispatches for a layer of a decoding step, steered or not, six for ways other than adding", async () => {
    const plain = ["matmul normed", "attention", "matmul", "matmul normed gated"]
    const coefficient = [1, 2]
    expect(await kernelsOfALayer([])).toEqual([...plain, "matmul"])
    expect(await kernelsOfALayer([{ vector, coefficient }])).toEqual([...plain, "matmul steered"])
    expect(await kernelsOfALayer([{ vector, coefficient, way: "ablate" }])).toEqual([...plain, "matmul", "steer ways"])
  })

  test("agree with float64, steered and not, while they read prompts and while they generate", async () => {
    for (const coefficient of [0, 1.5]) {
      const steering = [{ vector, coefficient }]
      const { logits } = await model.run([prompt], { steering })
      const edit = coefficient === 0 ? [] : [{ layer: 1, vector: direction, coefficient }]
      const expected = reference.forward(prompt, { steering: edit }).logits.flatMap((row) => [...row])
      expectClose(logits!.data, expected, { absolute: 5e-4, relative: 0 })
      const [one] = await model.complete([prompt, randomIds(5)], { tokens: 16, steering, endIds: [] })
      const { ids, gaps } = reference.greedy(prompt, 16, { penalty: 1, eosIds: [], steering: edit })
      const sure = gaps.findIndex((gap) => gap < 1e-3)
      expect(one!.ids.slice(0, sure < 0 ? 16 : sure)).toEqual(ids.slice(0, sure < 0 ? 16 : sure))
    }
  })
})

describe("prompts that rows share", () => {
  let model: Model
  beforeAll(async () => {
    ;({ model } = await randomModel({ seed: 22, layers: LAYERS, dtypes: ["BF16"] }))
  })
  afterAll(() => model.dispose())

  const longer = randomIds(23)
  // Row 1 shares with 0, 4 with 2; row 3 begins as 2, but is another prompt.
  const prompts = [prompt, prompt, longer, longer.slice(0, 20), longer]
  const coefficients = [0, 3, -2, 1, 2]
  const at = (layer: number): Steering["vector"] => ({ directions: new Map([[layer, direction]]) })

  test.each([
    ["at the first layer", { vector: at(0) }],
    ["in the middle", { vector: at(1) }],
    ["at the last layer", { vector: at(LAYERS - 1) }],
    ["where tokens are generated alone", { vector: at(1), positions: "generated" }],
    ["at prompts' last tokens", { vector: at(1), positions: "last" }],
    ["by rotation", { vector: at(1), way: "rotate" }],
  ] as const)("give every row what it gives alone, steered %s", async (_, how) => {
    const options = { tokens: 9, logprobs: true, endIds: [] }
    const batch = await model.complete(prompts, {
      ...options,
      steering: [{ ...how, coefficient: coefficients.map((c) => c / 3) }],
    })
    for (const [row, { ids, logprobs }] of batch.entries()) {
      // Beside a stranger, so that the same kernels serve.
      const steering = [{ ...how, coefficient: [coefficients[row]! / 3, null] }]
      const [alone] = await model.complete([prompts[row]!, randomIds(12)], { ...options, steering })
      expect(ids).toEqual(alone!.ids)
      expect(logprobs).toEqual(alone!.logprobs)
    }
  })

  test("are scored once, and every sequence as it is alone", async () => {
    const sequences = prompts.map((ids) => ({ ids: [...ids, ...randomIds(6)], from: ids.length }))
    const batch = await model.score(sequences)
    for (const [row, { logprobs, entropies }] of batch.entries()) {
      const [alone] = await model.score([sequences[row]!])
      expect(logprobs).toEqual(alone!.logprobs)
      expect(entropies).toEqual(alone!.entropies)
    }
  })

  test("may be of one token, and scored from their only one", async () => {
    const sequences = [3, 3, 5].map((id) => ({ ids: [id, ...randomIds(4)], from: 1 }))
    const batch = await model.score(sequences)
    for (const [row, { logprobs }] of batch.entries())
      expect(logprobs).toEqual((await model.score([sequences[row]!]))[0]!.logprobs)
    const [a, b] = await model.complete([[3], [3]], { tokens: 4 })
    expect(a!.ids).toEqual(b!.ids)
  })
})
