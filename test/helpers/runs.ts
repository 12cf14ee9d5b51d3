import type { FoundRedline } from "../../src/steering/find.ts"
import { metricNames, type Metrics } from "../../src/steering/metrics.ts"
import type { RecordedPoint, Run, RunIdentity } from "../../src/steering/record.ts"
import { resultOf } from "../../src/steering/record.ts"

const COEFFICIENTS = [0, 0.5, 1, 1.5, 2]
const NLL = [1, 0.9, 1.1, 1.6, 4]

export const identity: RunIdentity = {
  versions: { redline: "0.1.0", node: "20.19.0", dawn: "1" },
  adapter: { vendor: "test" },
  model: { name: "tiny <model>", sha256: "00" },
  vector: { method: "mean", sha256: "11" },
  layers: [3, 4],
  prompts: [
    { text: "I am <script>alert(1)</script>", ids: [1, 2] },
    { text: "You & me", ids: [1, 3] },
  ],
  settings: {
    coefficients: COEFFICIENTS,
    tokens: 32,
    repetitionPenalty: 1.1,
    temperature: 0,
    seed: 0,
    threshold: 0.2,
    metric: "nll",
  },
}

/** A small search's result; its texts hold HTML, and a perplexity is infinite. */
export function foundRun(): FoundRedline & { readonly curve: readonly RecordedPoint[] } {
  const curve = COEFFICIENTS.map((coefficient, i): RecordedPoint => {
    const value = NLL[i] as number
    const at = (shift: number): Metrics =>
      Object.fromEntries(
        metricNames.map((name) => [name, name === "perplexity" && i === 4 ? Infinity : value + shift]),
      ) as unknown as Metrics
    const pieces = [" <script>", "alert('x')", "</script>"]
    const completion = { ids: [5, 6, 7], logprobs: [-0.1, -value, -9], text: pieces.join(""), pieces }
    return {
      coefficient,
      metric: value,
      metrics: at(0),
      metricsByPrompt: [at(-0.1), at(0.1)],
      completions: [completion, completion],
    }
  })
  const { layers, prompts, settings } = identity
  const result = { minimum: 0.5, baseline: 1, threshold: 1.2, crossing: 1.5, max: 1, interpolated: 1.1, stopped: false }
  return { ...result, curve, layers, prompts, settings, unit: 2 }
}

export function recordedRun(name = "bridge"): Run {
  const found = foundRun()
  return { ...identity, name, result: { ...resultOf(found), minimum: 0.5 }, curve: found.curve }
}

/** A run at the coefficients 0, 1, … with these texts, a prompt each; it is done, its redline 1. */
export function gradableRun(texts: readonly (readonly (string | undefined)[])[], prompts?: readonly string[]): Run {
  const run = recordedRun()
  const curve = texts.map((row, coefficient) => {
    const completions = row.map((text) => ({ ids: [5], logprobs: [-1], text }))
    return { ...(run.curve[0] as RecordedPoint), coefficient, completions }
  })
  return { ...run, curve, ...(prompts && { prompts: prompts.map((text) => ({ text, ids: [1] })) }) }
}
