import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { type Model, parsePairs, type SteeringVector, trainVector } from "../../src/index.ts"
import { embeddedModel, loadModel, openDevice } from "../../src/node.ts"
import { adapterLine, machine, median, OPTIONS, writeReport } from "./report.ts"

/** One batch of all coefficients against as many searches of one coefficient, in turns, in one process. */
export async function searchBenchmark(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: { ...OPTIONS, coefficients: { type: "string", default: "32" }, tokens: { type: "string", default: "32" } },
  })
  const tokens = Number(values.tokens)
  const repeats = Number(values.repeats)
  using device = await openDevice(values.adapter === undefined ? {} : { adapter: values.adapter })
  using model = await loadModel(values.model ?? embeddedModel, { device })
  const vector = await bridgeVector(model)
  const [prompt = ""] = (await readFile(join(embeddedModel, "prompts.txt"), "utf8")).split("\n")
  const coefficients = Array.from(
    { length: Number(values.coefficients) },
    (_, i) => (1.5 * (i + 1)) / Number(values.coefficients),
  )

  const search = async (some: readonly number[]): Promise<number> => {
    const prompts = [prompt]
    const start = performance.now()
    await complete(model, vector, prompts, some, tokens)
    return (performance.now() - start) / 1000
  }
  const oneByOne = async (): Promise<number> => {
    let seconds = 0
    for (const coefficient of coefficients) seconds += await search([coefficient])
    return seconds
  }
  await search(coefficients) // compiles the shaders of both
  await search(coefficients.slice(0, 1))
  const batch: number[] = []
  const single: number[] = []
  for (let i = 0; i < repeats; i++) {
    batch.push(await search(coefficients))
    single.push(await oneByOne())
  }
  const ratio = median(single) / median(batch)
  process.stdout.write(
    `${adapterLine(device)}\n` +
      `${coefficients.length} coefficients x ${tokens} tokens, generated and scored (median of ${repeats})\n` +
      `  one batch    ${median(batch).toFixed(3)} s\n` +
      `  one by one   ${median(single).toFixed(3)} s\n` +
      `  ratio        ${ratio.toFixed(2)}\n`,
  )
  await writeReport(values.out, {
    benchmark: "search",
    args,
    ...machine(device),
    model: model.name,
    coefficients: coefficients.length,
    tokens,
    seconds: { batch, oneByOne: single },
    ratio,
  })
}

/** Generates and scores at the coefficients, without a baseline of its own: what a search costs for them. */
async function complete(
  model: Model,
  vector: SteeringVector,
  prompts: readonly string[],
  coefficients: readonly number[],
  tokens: number,
): Promise<void> {
  const rows = coefficients.flatMap((coefficient) => prompts.map((prompt) => ({ coefficient, ids: model.encode(prompt) })))
  const completions = await model.complete(
    rows.map(({ ids }) => ids),
    {
      tokens,
      repetitionPenalty: 1.1,
      endIds: [],
      steering: [{ vector, coefficient: rows.map(({ coefficient }) => coefficient) }],
    },
  )
  await model.score(
    completions.map(({ ids }, row) => ({ ids: [...(rows[row]?.ids ?? []), ...ids], from: rows[row]?.ids.length ?? 1 })),
  )
}

async function bridgeVector(model: Model): Promise<SteeringVector> {
  const pairs = parsePairs(await readFile(join(embeddedModel, "pairs", "bridge.jsonl"), "utf8"))
  return trainVector(model, pairs.slice(0, 16), { layers: [Math.floor(model.config.layers / 2)] })
}
