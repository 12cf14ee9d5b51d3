import { readFile } from "node:fs/promises"
import { z } from "zod"
import { checkShape, parseJson } from "../../src/engine/json.ts"
import type { Model, Steering } from "../../src/index.ts"
import { loadBenchModel, modelFacts } from "./model.ts"
import { columns } from "./numbers.ts"
import type { Benchmark } from "./report.ts"

const FILE = "test/fixtures/reference.json"

const numbers = z.array(z.number())
const greedy = z.looseObject({ ids: numbers, near_ties: z.array(z.tuple([z.number(), z.number()])) })
const resultShape = z.looseObject({
  "top20_ids": numbers,
  "top20_logits": numbers,
  "next_logprobs": numbers,
  "greedy32": greedy,
  "greedy32_penalty1.1": greedy,
})
const shape = z.looseObject({
  steering: z.object({ layers: numbers, coefficient: z.number(), vector: numbers }),
  cases: z.array(z.looseObject({ ids: numbers, plain: resultShape, steered: resultShape })),
})
type Expected = z.infer<typeof resultShape>

/** Where a step's two best logits are closer than this, two right answers may differ. */
const TIE = 1e-3

/** What a model gave beside float64, over all prompts. */
interface Differences {
  logits: number[]
  logprobs: number[]
  tokens: number
  sameTokens: number
}

/** The embedded model beside its float64 reference: logits, log-probs and greedy tokens, steered and not. */
export const accuracyBenchmark: Benchmark = {
  options: {},
  async run(context) {
    const { cases, steering } = checkShape(shape, parseJson(await readFile(FILE, "utf8"), FILE), FILE)
    const vector = { directions: new Map(steering.layers.map((layer) => [layer, Float32Array.from(steering.vector)])) }
    await using loaded = await loadBenchModel(context)
    const json: Record<string, unknown> = { ...modelFacts(loaded), prompts: cases.length }
    const table = [["", "largest difference of a logit", "of a log-prob, nats", "mean", "same greedy tokens"]]
    for (const kind of ["plain", "steered"] as const) {
      const acting = kind === "plain" ? [] : [{ vector, coefficient: steering.coefficient }]
      const all: Differences = { logits: [], logprobs: [], tokens: 0, sameTokens: 0 }
      for (const one of cases) await compare(loaded.model, one.ids, one[kind], acting, all)
      const found = {
        worstLogit: Math.max(...all.logits),
        worstLogprob: Math.max(...all.logprobs),
        meanLogprob: all.logprobs.reduce((a, b) => a + b, 0) / all.logprobs.length,
        tokens: all.tokens,
        sameTokens: all.sameTokens,
      }
      json[kind] = found
      const short = [found.worstLogit, found.worstLogprob, found.meanLogprob].map((x) => x.toExponential(1))
      table.push([kind, ...short, `${found.sameTokens} of ${found.tokens}`])
    }
    return { lines: [`${loaded.model.name} beside float64, ${cases.length} prompts`, ...columns(table)], json }
  },
}

async function compare(
  model: Model,
  ids: readonly number[],
  expected: Expected,
  steering: readonly Steering[],
  all: Differences,
): Promise<void> {
  const { logits } = await model.run([ids], { at: "last", steering })
  expected.top20_ids.forEach((id, i) => {
    all.logits.push(Math.abs((logits?.data[id] as number) - (expected.top20_logits[i] as number)))
  })
  const [scores] = await model.score([{ ids, from: 1 }], { steering })
  scores?.logprobs.forEach((logprob, i) => all.logprobs.push(Math.abs(logprob - (expected.next_logprobs[i] as number))))
  for (const [repetitionPenalty, wanted] of [
    [1, expected.greedy32],
    [1.1, expected["greedy32_penalty1.1"]],
  ] as const) {
    const tie = wanted.near_ties.find(([, gap]) => gap < TIE)
    const sure = wanted.ids.slice(0, tie?.[0])
    const [made] = await model.complete([ids], { repetitionPenalty, steering })
    all.tokens += sure.length
    all.sameTokens += sure.filter((id, i) => made?.ids[i] === id).length
  }
}
