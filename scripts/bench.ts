// Benchmarks: npm run bench -- search [options]. Each prints a short table, and its raw numbers as JSON with --out FILE.
import { InputError } from "../src/index.ts"
import { accuracyBenchmark } from "./bench/accuracy.ts"
import { agreementBenchmark } from "./bench/agreement.ts"
import { captureBenchmark } from "./bench/capture.ts"
import { cardBenchmark } from "./bench/card.ts"
import { decodeBenchmark } from "./bench/decode.ts"
import { loadBenchmark } from "./bench/load.ts"
import { logitsBenchmark } from "./bench/logits.ts"
import { metricsBenchmark } from "./bench/metrics.ts"
import { peersBenchmark } from "./bench/peers.ts"
import { prefillBenchmark } from "./bench/prefill.ts"
import { type Benchmark, runBenchmark } from "./bench/report.ts"
import { searchBenchmark } from "./bench/search.ts"
import { runScript } from "./program.ts"

const benchmarks: Readonly<Record<string, Benchmark>> = {
  card: cardBenchmark,
  search: searchBenchmark,
  decode: decodeBenchmark,
  prefill: prefillBenchmark,
  load: loadBenchmark,
  accuracy: accuracyBenchmark,
  logits: logitsBenchmark,
  agreement: agreementBenchmark,
  capture: captureBenchmark,
  metrics: metricsBenchmark,
  peers: peersBenchmark,
}

await runScript("bench", async () => {
  const [name = "search", ...args] = process.argv.slice(2)
  const benchmark = Object.hasOwn(benchmarks, name) ? benchmarks[name] : undefined
  if (benchmark === undefined) {
    throw new InputError({ where: "bench", expected: `one of ${Object.keys(benchmarks).join(", ")}`, found: `«${name}»` })
  }
  const { lines } = await runBenchmark(name, benchmark, args)
  process.stdout.write(`${lines.join("\n")}\n`)
})
