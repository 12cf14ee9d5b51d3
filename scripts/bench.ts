// Benchmarks: npm run bench -- search [options]. Each prints a short table, and its raw numbers as JSON with --out FILE.
import { captureBenchmark } from "./bench/capture.ts"
import { metricsBenchmark } from "./bench/metrics.ts"
import { searchBenchmark } from "./bench/search.ts"

const benchmarks: Readonly<Record<string, (args: string[]) => Promise<void>>> = {
  search: searchBenchmark,
  capture: captureBenchmark,
  metrics: metricsBenchmark,
}

const [name = "search", ...args] = process.argv.slice(2)
const benchmark = benchmarks[name]
if (benchmark === undefined) {
  process.stderr.write(`bench: expected one of ${Object.keys(benchmarks).join(", ")}, found «${name}»\n`)
  process.exitCode = 2
} else {
  await benchmark(args)
}
