import { parseArgs } from "node:util"
import { embeddedModel, loadModel, openDevice } from "../../src/node.ts"
import { adapterLine, machine, median, OPTIONS, writeReport } from "./report.ts"

/** A run that captures every residual stream against the plain one, in turns, in one process. */
export async function captureBenchmark(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { ...OPTIONS, positions: { type: "string", default: "512" } } })
  using device = await openDevice(values.adapter === undefined ? {} : { adapter: values.adapter })
  using model = await loadModel(values.model ?? embeddedModel, { device })
  const positions = Number(values.positions)
  const ids = Array.from({ length: positions }, (_, i) => (i * 37) % model.config.vocabSize)
  const run = async (capture?: string): Promise<number> => {
    const start = performance.now()
    // The plain run reads one internal, of the last layer, so that it too runs and waits for the whole pass.
    await model.run([ids], { at: "all", logits: false, capture: capture ?? `blocks.${model.config.layers - 1}.hook_resid_post` })
    return (performance.now() - start) / 1000
  }
  const all = "blocks.*.hook_resid_*"
  await run()
  await run(all)
  const plain: number[] = []
  const captured: number[] = []
  for (let i = 0; i < Number(values.repeats); i++) {
    plain.push(await run())
    captured.push(await run(all))
  }
  const ratio = median(captured) / median(plain)
  process.stdout.write(
    `${adapterLine(device)}\na prompt of ${positions} tokens (median of ${values.repeats})\n` +
      `  last residual alone    ${median(plain).toFixed(3)} s\n` +
      `  all residuals          ${median(captured).toFixed(3)} s\n  ratio                  ${ratio.toFixed(2)}\n`,
  )
  await writeReport(values.out, {
    benchmark: "capture",
    args,
    ...machine(device),
    model: model.name,
    positions,
    seconds: { plain, captured },
    ratio,
  })
}
