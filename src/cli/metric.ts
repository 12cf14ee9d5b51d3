import { DEFAULT_METRIC, InputError, type MetricName, metricNames, metrics } from "../index.ts"
import { didYouMean, type Options, type OptionTable, quote } from "./options.ts"

/** The watched metric and its threshold. */
export const metricOptions: OptionTable = {
  threshold: {
    value: "NUMBER",
    help: "how far the metric moves to the redline, as a fraction of its baseline; 0.2 unless told, or the metric's own distance",
  },
  metric: { value: "NAME", help: `what is watched, see below; ${DEFAULT_METRIC} unless told` },
}

/** What --metric may name, for the help. */
export const metricsNote: string = `Metrics: ${metricNames.map((name) => `${name} (${metrics[name].describe})`).join(", ")}.`

/** What --metric names. @throws InputError for no metric's name */
export function metricOption(options: Options): MetricName {
  const text = options.text("metric") ?? DEFAULT_METRIC
  const name = metricNames.find((known) => known === text)
  if (name !== undefined) return name
  const meant = didYouMean(text, metricNames)
  throw new InputError({ where: "--metric", expected: metricNames.join(", "), found: quote(text), ...meant })
}
