import type { GradedText } from "./grade-summary.ts"
import type { Grammar } from "./grammar.ts"
import { mean } from "./numbers.ts"
import type { Run } from "./record.ts"
import { COHERENT_SHARE } from "./study.ts"
import type { Labels } from "./truth.ts"

/** A rating, and what somebody else says of the same. */
export interface Judged {
  /** 0 to 2. */
  readonly rating: number
  readonly truth: boolean
}

/** How far ratings agree with a truth. */
export interface Agreement {
  readonly aspect: "concept" | "fluency"
  readonly truth: "grammar" | "labels"
  /** A rating of at least this, rounded to a whole one, counts as yes. */
  readonly atLeast: number
  /** Texts that were compared; with labels of whole coefficients these. */
  readonly items: number
  /** The share of items of which the truth says yes. */
  readonly positive: number
  /** The share of items on which both say the same. */
  readonly agree: number
  /** Cohen's: 1 for full agreement, 0 for what chance gives; null where both always say one and the same. */
  readonly kappa: number | null
  /**
   * How often an item of which the truth says yes is rated above one of which it says no, ties half: 0.5 for a blind grader. It
   * needs no limit. Null where the truth says one thing of all.
   */
  readonly auc: number | null
}

/** The limits that ratings are compared at. */
const LIMITS = [1, 2] as const

/** By a grammar: fluency beside texts whose sentences it could have written, the concept beside texts that are on its topic. */
export function agreementWithGrammar(
  texts: readonly GradedText[],
  run: Run,
  grammar: Grammar,
  topic: string | undefined,
): Agreement[] {
  const judge = (rate: (text: GradedText) => number, truth: (written: string, prompt: string) => boolean): Judged[] =>
    texts.map((text) => {
      const point = run.curve.find(({ coefficient }) => coefficient === text.coefficient)
      const written = point?.completions[text.index]?.text ?? ""
      return { rating: rate(text), truth: truth(written, run.prompts[text.index]?.text ?? "") }
    })
  const coherent = (written: string, prompt: string): boolean => grammar.judge(written, prompt).coherence >= COHERENT_SHARE
  const fluency = agreements(
    "fluency",
    "grammar",
    judge((text) => text.fluency, coherent),
  )
  if (topic === undefined || !grammar.topics.includes(topic)) return fluency
  const onTopic = judge(
    ({ concept }) => concept,
    (written, prompt) => grammar.onTopic(written, topic, prompt),
  )
  return [...fluency, ...agreements("concept", "grammar", onTopic)]
}

/** By labels: fluency beside texts that make sense, text by text where a list labels them, else a coefficient's mean. */
export function agreementWithLabels(texts: readonly GradedText[], labels: Labels, topic: string): Agreement[] {
  const coefficients = [...new Set(texts.map(({ coefficient }) => coefficient))]
  const judged = coefficients.flatMap((coefficient): Judged[] => {
    const own = texts.filter((text) => text.coefficient === coefficient)
    const label = labels.label(topic, coefficient)
    if (label === null) return []
    if (typeof label === "number") return [{ rating: mean(own.map(({ fluency }) => fluency)), truth: label >= COHERENT_SHARE }]
    return own.flatMap(({ index, fluency }) => {
      const share = label[index]
      return share === undefined ? [] : [{ rating: fluency, truth: share >= COHERENT_SHARE }]
    })
  })
  return agreements("fluency", "labels", judged)
}

/** The agreement at every limit; none without items. */
function agreements(aspect: Agreement["aspect"], truth: Agreement["truth"], judged: readonly Judged[]): Agreement[] {
  if (judged.length === 0) return []
  const positive = judged.filter((item) => item.truth).length / judged.length
  const auc = areaUnderCurve(judged)
  return LIMITS.map((atLeast) => {
    return { aspect, truth, atLeast, items: judged.length, positive, ...cohensKappa(judged, atLeast), auc }
  })
}

/** The share of items on which «rounded, at least so much» and the truth agree, and Cohen's kappa (Cohen 1960). */
export function cohensKappa(judged: readonly Judged[], atLeast: number): { agree: number; kappa: number | null } {
  const count = (said: boolean, truth: boolean): number =>
    judged.filter((item) => Math.round(item.rating) >= atLeast === said && item.truth === truth).length
  const [both, tooMuch, tooLittle, none] = [count(true, true), count(true, false), count(false, true), count(false, false)]
  const agree = (both + none) / judged.length
  // In whole numbers, so that what chance gives is 0 and not nearly so.
  const possible = (both + tooMuch) * (tooMuch + none) + (both + tooLittle) * (tooLittle + none)
  return { agree, kappa: possible === 0 ? null : (2 * (both * none - tooMuch * tooLittle)) / possible }
}

/** The area under the receiver operating characteristic: Mann and Whitney's U over the number of pairs. */
export function areaUnderCurve(judged: readonly Judged[]): number | null {
  const ratings = (truth: boolean): number[] => judged.filter((item) => item.truth === truth).map(({ rating }) => rating)
  const [yes, no] = [ratings(true), ratings(false)]
  if (yes.length === 0 || no.length === 0) return null
  const wins = yes.flatMap((a) => no.map((b) => (a > b ? 1 : a === b ? 0.5 : 0)))
  return mean(wins)
}
