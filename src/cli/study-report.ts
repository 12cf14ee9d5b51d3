import {
  defaultCandidate,
  type Estimate,
  type MethodScore,
  type MinimumScore,
  type ReplayScore,
  type Sensitivity,
  type StudyResult,
  telling,
} from "../index.ts"
import { counted, table } from "./text.ts"

/** The study as lines for a terminal. */
export function studyLines({ topics, methods, minimum, coarseThenFine, sensitivity }: StudyResult): string[] {
  return [
    `${counted(topics.length, "topic")}; last coherent coefficient: ${topics.map(({ name, last }) => `${name} ${last}`).join(", ")}`,
    "",
    ...methodTable(methods),
    "",
    ...(minimum === null ? [] : [minimumLine(minimum)]),
    ...coarseThenFine.map(replayLine),
    ...(sensitivity.length === 0 ? [] : ["", ...sensitivityTable(sensitivity)]),
  ]
}

function methodTable(methods: readonly MethodScore[]): string[] {
  const rows = methods.map(({ method, coherent, givenAway, distance, length, picks }) => {
    const above = picks.filter((pick) => !pick.coherent).map(({ topic }) => topic)
    return [
      method === defaultCandidate ? `${method} (default)` : method,
      interval(coherent),
      interval(givenAway),
      distance.value.toFixed(1),
      length.value.toFixed(2),
      above.slice(0, 4).join(", ") + (above.length > 4 ? " …" : ""),
    ]
  })
  return table(
    [["method", "coherent picks", "range given away", "off", "lengths", "too high on"], ...rows],
    ["left", "right", "right", "right", "right", "left"],
  )
}

function minimumLine({ topics, distance, within }: MinimumScore): string {
  return (
    `minimum: within a step of where the texts turn to the topic on ${interval(within)} of ${topics.length} topics, ` +
    `${distance.value.toFixed(1)} steps off in the median`
  )
}

function replayLine({ step, agrees, evaluated, total }: ReplayScore): string {
  return `every ${step} steps, then between: the same crossing on ${Math.round(100 * agrees)} %, with ${evaluated.toFixed(1)} of ${total} coefficients`
}

function sensitivityTable(rows: readonly Sensitivity[]): string[] {
  const names = rows[0]?.methods.map(({ method }) => method) ?? []
  const cell = ({ coherent, givenAway }: MethodScore): string => `${percent(coherent)} / ${percent(givenAway)}`
  return [
    "coherent picks / range given away, by the truth of the texts that each setting gave; * by that of the reference",
    ...table(
      [
        ["setting", "", ...names.map((name) => name.replace("alert ", ""))],
        ...rows.map((row) => {
          const { methods, byReference } = telling(row)
          return [row.setting, `${row.value}${byReference ? " *" : ""}`, ...methods.map(cell)]
        }),
      ],
      ["left", "left", ...names.map(() => "right" as const)],
    ),
  ]
}

const percent = ({ value }: Estimate): string => `${Math.round(100 * value)} %`

const interval = ({ value, low, high }: Estimate): string =>
  `${Math.round(100 * value)} % (${Math.round(100 * low)}-${Math.round(100 * high)})`
