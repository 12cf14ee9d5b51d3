import { count } from "../../src/cli/options.ts"
import { loadBenchModel } from "./model.ts"
import { median } from "./numbers.ts"
import { type Benchmark, secondsFor } from "./report.ts"

/** A run that captures every residual stream against the plain one, in turns, in one process. */
export const captureBenchmark: Benchmark = {
  options: { positions: "512" },
  async run(context) {
    const { options, device, repeats } = context
    const positions = options.number("positions", count) as number
    await using loaded = await loadBenchModel(context)
    const { model } = loaded
    const ids = Array.from({ length: positions }, (_, i) => (i * 37) % model.config.vocabSize)
    // The plain run reads one internal, of the last layer, so that it too runs and waits for the whole pass.
    const last = `blocks.${model.config.layers - 1}.hook_resid_post`
    const run = (capture: string): Promise<number> =>
      secondsFor(device, () => model.run([ids], { at: "all", logits: false, capture }))
    const all = "blocks.*.hook_resid_*"
    await run(last)
    await run(all)
    const plain: number[] = []
    const captured: number[] = []
    for (let i = 0; i < repeats; i++) {
      plain.push(await run(last))
      captured.push(await run(all))
    }
    const ratio = median(captured) / median(plain)
    const lines = [
      `a prompt of ${positions} tokens (median of ${repeats})`,
      `  last residual alone    ${median(plain).toFixed(3)} s`,
      `  all residuals          ${median(captured).toFixed(3)} s`,
      `  ratio                  ${ratio.toFixed(2)}`,
    ]
    return { lines, json: { model: model.name, positions, seconds: { plain, captured }, ratio } }
  },
}
