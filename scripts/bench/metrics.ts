import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { count } from "../../src/cli/options.ts"
import { embeddedModel } from "../../src/node.ts"
import { loadBenchModel } from "./model.ts"
import { median } from "./numbers.ts"
import { type Benchmark, secondsFor } from "./report.ts"

/** A search's batch with every metric, by both evaluators, against generating and scoring for nll alone, in turns. */
export const metricsBenchmark: Benchmark = {
  options: { coefficients: "19" },
  async run(context) {
    const { options, device, repeats } = context
    await using loaded = await loadBenchModel(context)
    const { model } = loaded
    const coefficients = Array.from({ length: options.number("coefficients", count) as number }, (_, i) => i / 10)
    const texts = (await readFile(join(embeddedModel, "prompts.txt"), "utf8")).trim().split("\n")
    const rows = coefficients.flatMap((coefficient) => texts.map((text) => ({ coefficient, ids: model.encode(text) })))
    const prompts = rows.map(({ ids }) => ids)
    const direction = Float32Array.from({ length: model.config.hiddenSize }, (_, i) => Math.sin(i))
    const vector = { directions: new Map([[Math.floor(model.config.layers / 2), direction]]) }
    const steering = [{ vector, coefficient: rows.map(({ coefficient }) => coefficient) }]
    const generation = { tokens: 32, repetitionPenalty: 1.1, steering }
    const plainly = async (): Promise<void> => {
      const completions = await model.complete(prompts, generation)
      await model.score(
        completions.map(({ ids }, row) => ({ ids: [...(prompts[row] ?? []), ...ids], from: prompts[row]?.length ?? 1 })),
      )
    }
    const judged = (): Promise<unknown> => model.judge(prompts, generation)
    await plainly()
    await judged()
    const plain: number[] = []
    const all: number[] = []
    for (let i = 0; i < repeats; i++) {
      plain.push(await secondsFor(device, plainly))
      all.push(await secondsFor(device, judged))
    }
    const ratio = median(all) / median(plain)
    const lines = [
      `${prompts.length} rows x 32 tokens (median of ${repeats})`,
      `  nll and vocab alone    ${median(plain).toFixed(3)} s`,
      `  every metric           ${median(all).toFixed(3)} s`,
      `  ratio                  ${ratio.toFixed(3)}`,
    ]
    return { lines, json: { model: model.name, rows: prompts.length, seconds: { plain, all }, ratio } }
  },
}
