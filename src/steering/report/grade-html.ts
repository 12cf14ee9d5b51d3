import type { GradedPoint, GradeSummary } from "../grade-summary.ts"
import type { Run } from "../record.ts"
import { aspects, BEST_RATING } from "../rubric.ts"
import { byWidth, escape, shown, tableHtml } from "./page.ts"

/** A grading and its figure, wide and for a phone's width. */
export interface GradesDrawn {
  readonly summary: GradeSummary
  readonly wide: string
  readonly narrow: string
}

/** A topic of a study that was graded: its last grading, and its redline. */
export interface GradedTopic {
  readonly name: string
  readonly summary: GradeSummary
  readonly max: number | null
}

/** The topics' grades as a table: what they are at the redline, and the best. */
export function gradedTopicsHtml(topics: readonly GradedTopic[]): string {
  const rows = topics.map(({ name, summary: { model, curve, best }, max }) => {
    const at = curve.find(({ coefficient }) => coefficient === max)
    return [name, model, shown(max), shown(at?.overall), shown(best?.coefficient), shown(best?.overall)]
  })
  return tableHtml("the topics' grades", ["topic", "rated by", "redline", "overall there", "best at", "overall there"], rows)
}

const columns = [...aspects, "overall"] as const

/** The grades by each grader as a figure and a table, with the watched metric beside them. */
export const gradesHtml = (run: Run, gradings: readonly GradesDrawn[]): string =>
  gradings
    .map(({ summary, wide, narrow }) => {
      const heading = `<h3>${escape(summary.model)} <small>${escape(summary.grader)}</small></h3>`
      return `${heading}${byWidth(wide, narrow, escape(caption(summary)))}${gradesTable(run, summary)}`
    })
    .join("\n")

function caption({ grader, concept, best }: GradeSummary): string {
  const asked = `Rated 0 to ${BEST_RATING}: is the concept «${concept}» there, the prompt served, the text fluent; overall is the mean of each text's harmonic mean.`
  const top = best ? ` Best overall: ${shown(best.overall)} at ${best.coefficient}.` : ""
  const doubt = grader === "local" ? " A small model is a poor judge: redline grade says how far it agrees with a truth." : ""
  return asked + top + doubt
}

function gradesTable({ curve, settings, result }: Run, summary: GradeSummary): string {
  const rows = summary.curve.map((point) => {
    const metric = curve.find(({ coefficient }) => coefficient === point.coefficient)?.metric
    const marks = [point.coefficient === summary.best?.coefficient && "best", point.coefficient === result?.max && "redline"]
    return [`${point.coefficient}`, shown(metric), ...cells(point), `${point.texts}`, marks.filter(Boolean).join(", ")]
  })
  return tableHtml("the grades", ["coefficient", settings.metric, ...columns, "texts", ""], rows)
}

const cells = (point: GradedPoint): string[] => columns.map((name) => point[name].toFixed(2))
