import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { embeddedModel, loadModel, openDevice } from "../../src/node.ts"
import { adapterLine, machine, median, OPTIONS, writeReport } from "./report.ts"

/** A search's batch with every metric, by both evaluators, against generating and scoring for nll alone, in turns. */
export async function metricsBenchmark(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { ...OPTIONS, coefficients: { type: "string", default: "19" } } })
  using device = await openDevice(values.adapter === undefined ? {} : { adapter: values.adapter })
  using model = await loadModel(values.model ?? embeddedModel, { device })
  const coefficients = Array.from({ length: Number(values.coefficients) }, (_, i) => i / 10)
  const texts = (await readFile(join(embeddedModel, "prompts.txt"), "utf8")).trim().split("\n")
  const rows = coefficients.flatMap((coefficient) => texts.map((text) => ({ coefficient, ids: model.encode(text) })))
  const prompts = rows.map(({ ids }) => ids)
  const direction = Float32Array.from({ length: model.config.hiddenSize }, (_, i) => Math.sin(i))
  const vector = { directions: new Map([[Math.floor(model.config.layers / 2), direction]]) }
  const steering = [{ vector, coefficient: rows.map(({ coefficient }) => coefficient) }]
  const options = { tokens: 32, repetitionPenalty: 1.1, steering }
  const seconds = async (work: () => Promise<unknown>): Promise<number> => {
    const start = performance.now()
    await work()
    return (performance.now() - start) / 1000
  }
  const plainly = async (): Promise<void> => {
    const completions = await model.complete(prompts, options)
    await model.score(
      completions.map(({ ids }, row) => ({ ids: [...(prompts[row] ?? []), ...ids], from: prompts[row]?.length ?? 1 })),
    )
  }
  const judged = (): Promise<unknown> => model.judge(prompts, options)
  await plainly()
  await judged()
  const plain: number[] = []
  const all: number[] = []
  for (let i = 0; i < Number(values.repeats); i++) {
    plain.push(await seconds(plainly))
    all.push(await seconds(judged))
  }
  const ratio = median(all) / median(plain)
  process.stdout.write(
    `${adapterLine(device)}\n${prompts.length} rows x 32 tokens (median of ${values.repeats})\n` +
      `  nll and vocab alone    ${median(plain).toFixed(3)} s\n` +
      `  every metric           ${median(all).toFixed(3)} s\n  ratio                  ${ratio.toFixed(3)}\n`,
  )
  await writeReport(values.out, {
    benchmark: "metrics",
    args,
    ...machine(device),
    model: model.name,
    rows: prompts.length,
    seconds: { plain, all },
    ratio,
  })
}
