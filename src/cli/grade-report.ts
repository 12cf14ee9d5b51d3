import { type Agreement, BEST_RATING, type GradedPoint, type GradeSummary, type GradingEstimate, type Run } from "../index.ts"
import { bar, counted, table } from "./text.ts"

const BAR = 24
/** What a kappa of so much means is a matter of taste; a blind grader's AUC is not. */
const BLIND = 0.6

/** What is about to be asked, in a line. */
export function estimateLine({ questions, distinct, known, calls, inputTokens, outputTokens }: GradingEstimate): string {
  const texts = `${counted(questions, "question")} about ${counted(questions / 3, "text")}, ${distinct} of them different`
  const rest = calls === 0 ? "nothing is asked" : `${counted(calls, "call")} of ${about(inputTokens)} tokens in`
  return `${texts}: ${known} answered before, ${rest}${outputTokens === 0 ? "" : ` and ${about(outputTokens)} out`}`
}

/** The means at every coefficient as a table, the redline and the best one marked. */
export function gradesTable({ curve, best }: GradeSummary, run: Run): string[] {
  const rows = curve.map((point) => [...cells(point), bar(point.overall, BEST_RATING, BAR, -1), marks(point, best, run)])
  const head = ["coefficient", "concept", "prompt", "fluency", "overall", `0 to ${BEST_RATING}`, ""]
  return table([head, ...rows], ["right", "right", "right", "right", "right", "left", "left"])
}

/** What the grades say, in sentences. */
export function gradesConclusion({ curve, best, grader }: GradeSummary, run: Run): string[] {
  if (!best) return []
  const redline = run.result?.max ?? null
  const at = curve.find(({ coefficient }) => coefficient === redline)
  const beside =
    redline === null ? "The run has no redline" : `The redline is ${redline}${at ? `, graded ${fixed(at.overall)}` : ""}`
  const small = "A small model is a poor judge: see how far its ratings agree with a truth before they are believed."
  return [
    `The best grade overall is ${fixed(best.overall)} of ${BEST_RATING}, at ${best.coefficient}. ${beside}.`,
    ...(grader === "local" ? [small] : []),
  ]
}

/** How the ratings agree with grammar or labels. */
export function agreementLines(agreement: readonly Agreement[]): string[] {
  if (agreement.length === 0) return []
  const rows = agreement.map(({ aspect, truth, atLeast, items, positive, agree, kappa, auc }) => {
    const numbers = [
      percent(positive),
      percent(agree),
      kappa === null ? "none" : fixed(kappa),
      auc === null ? "none" : fixed(auc),
    ]
    return [`${aspect} at least ${atLeast}`, TRUTHS[truth][aspect], `${items}`, ...numbers]
  })
  const blind = agreement.filter(({ auc, atLeast }) => auc !== null && auc < BLIND && atLeast === 1).map(({ aspect }) => aspect)
  const warning = `Below an AUC of ${BLIND} the ratings tell little more than chance: so here for ${blind.join(" and ")}.`
  return [
    ...table(
      [["rating", "beside", "items", "so", "agree", "kappa", "AUC"], ...rows],
      ["left", "left", "right", "right", "right", "right", "right"],
    ),
    ...(blind.length > 0 ? ["", warning] : []),
  ]
}

const TRUTHS = {
  grammar: { fluency: "the grammar finds it coherent", concept: "the grammar finds it on topic" },
  labels: { fluency: "labelled as making sense", concept: "labelled as on topic" },
} as const

const cells = ({ coefficient, concept, prompt, fluency, overall }: GradedPoint): string[] => [
  `${coefficient}`,
  ...[concept, prompt, fluency, overall].map(fixed),
]

function marks({ coefficient }: GradedPoint, best: GradedPoint | null, { result }: Run): string {
  const names = [coefficient === best?.coefficient && "best", coefficient === result?.max && "redline"].filter(Boolean)
  return names.length === 0 ? "" : `◀ ${names.join(", ")}`
}

const fixed = (value: number): string => value.toFixed(2)
const percent = (share: number): string => `${Math.round(share * 100)} %`
const about = (value: number): string => `about ${Number(value.toPrecision(2)).toLocaleString("en-US")}`
