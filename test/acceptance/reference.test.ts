import { beforeAll, describe, expect, test } from "vitest"
import type { Model } from "../../src/engine/model.ts"
import { type CaseFixture, loadReference } from "../helpers/fixtures.ts"
import { tinyTalkModel } from "../helpers/models.ts"
import { expectClose } from "../helpers/numbers.ts"

const { cases, steering: fixture } = loadReference()
const within = { absolute: 2e-4, relative: 0 }

let model: Model
beforeAll(async () => {
  model = await tinyTalkModel()
})

const vector = { directions: new Map(fixture.layers.map((layer) => [layer, Float32Array.from(fixture.vector)])) }
const steerings = { plain: [], steered: [{ vector, coefficient: fixture.coefficient }] } as const

describe.each(cases)("$name", (one: CaseFixture) => {
  test("the tokenizer gives its ids", () => {
    expect(model.encode(one.text)).toEqual(one.ids)
  })

  test.each(["plain", "steered"] as const)("%s logits, residual norms and log-probs are within 2e-4 of float64", async (kind) => {
    const expected = one[kind]
    const steering = steerings[kind]
    const { logits, captured } = await model.run([one.ids], { at: "last", capture: ["blocks.*.hook_resid_post"], steering })
    const last = logits!.data
    expectClose(
      expected.top20_ids.map((id) => last[id]!),
      expected.top20_logits,
      within,
      "top logits",
    )
    expectClose([Math.log(last.reduce((sum, x) => sum + Math.exp(x), 0))], [expected.logsumexp_last], within, "logsumexp")
    const norms = [...captured.values()].map(({ data }) => Math.hypot(...data))
    expectClose(norms, expected.residual_norms_last, within, "residual norms")
    const [scores] = await model.score([{ ids: one.ids, from: 1 }], { steering })
    expectClose(scores!.logprobs, expected.next_logprobs, within, "log-probs")
  })

  test.each([
    { kind: "plain", penalty: 1, key: "greedy32" },
    { kind: "plain", penalty: 1.1, key: "greedy32_penalty1.1" },
    { kind: "steered", penalty: 1, key: "greedy32" },
    { kind: "steered", penalty: 1.1, key: "greedy32_penalty1.1" },
  ] as const)("$kind greedy tokens with penalty $penalty equal float64's", async ({ kind, penalty, key }) => {
    const expected = one[kind][key]
    const tie = expected.near_ties.find(([, gap]) => gap < 1e-3)
    const count = tie ? tie[0] : expected.ids.length
    const [completion] = await model.complete([one.ids], { repetitionPenalty: penalty, steering: steerings[kind] })
    expect(completion!.ids.slice(0, count)).toEqual(expected.ids.slice(0, count))
    if (!tie) expect(model.tokenizer!.decode(completion!.ids, { special: true })).toBe(expected.text)
  })
})
