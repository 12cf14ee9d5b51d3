import { metricNames, type Metrics } from "../../src/steering/metrics.ts"
import { minimumCoefficient, scoreMinimum } from "../../src/steering/minimum.ts"
import { replayAll } from "../../src/steering/strategies.ts"
import type { StudyIdentity, StudyResult } from "../../src/steering/study-record.ts"
import { lastCoherent } from "../../src/steering/study.ts"
import { compareMethods, type StudiedTopic } from "../../src/steering/study-run.ts"
import { identity } from "./runs.ts"

/** A topic whose texts make sense and stand on `prompts` prompts; `nll` is a list for each prompt, `improbable` follows it. */
export function studiedTopic(name: string, coherence: readonly number[], ...nll: readonly (readonly number[])[]): StudiedTopic {
  const curve = coherence.map((share, i) => {
    const metricsByPrompt = nll.map((values) => metricsAt(values[i] as number))
    const mean = (of: (metrics: Metrics) => number): number =>
      metricsByPrompt.reduce((sum, each) => sum + of(each), 0) / nll.length
    const metrics = Object.fromEntries(metricNames.map((metric) => [metric, mean((each) => each[metric])])) as Metrics
    return { coefficient: i / 10, coherence: share, onTopic: i / 10, textLoss: 1 + i, metrics, metricsByPrompt, completions: [] }
  })
  return { name, curve, unit: 2, last: lastCoherent(curve), minimum: minimumCoefficient(curve) }
}

/** nll as it is; the share of improbable tokens is 0 up to an nll of 1 and rises by 0.1 per nat. */
function metricsAt(nll: number): Metrics {
  const values = metricNames.map((name) => [name, name === "improbable" ? Math.max(0, nll - 1) / 10 : nll] as const)
  return Object.fromEntries(values) as Metrics
}

/** What a study of topics finds. */
export function resultOfStudy(studied: readonly StudiedTopic[], sensitivity: StudyResult["sensitivity"] = []): StudyResult {
  return {
    topics: studied.map(({ name, last, unit, minimum }) => ({ name, last, unit, minimum })),
    methods: compareMethods(studied),
    minimum: scoreMinimum(studied),
    coarseThenFine: replayAll(studied.map(({ curve }) => curve)),
    sensitivity,
  }
}

const { vector: _, ...facts } = identity
/** A study's identity; the prompts hold HTML. */
export const studyIdentity: StudyIdentity = facts
