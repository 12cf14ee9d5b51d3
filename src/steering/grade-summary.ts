import { type Grade, type Grading, placeIn } from "./grades.ts"
import { mean } from "./numbers.ts"
import { type Aspect, aspects, harmonicMean } from "./rubric.ts"

type Ratings = Readonly<Record<Aspect, number>>

/** The ratings of one text, 0 to 2 each. */
export interface GradedText extends Ratings {
  readonly coefficient: number
  /** Of its prompt, in the run. */
  readonly index: number
  /** The harmonic mean of the three. */
  readonly overall: number
}

/** The ratings at a coefficient: means over its texts, 0 to 2. */
export interface GradedPoint extends Ratings {
  readonly coefficient: number
  /** The mean of the texts' harmonic means, as AxBench takes it: not the harmonic mean of the three means. */
  readonly overall: number
  /** How many texts are rated on all three aspects; the others do not count. */
  readonly texts: number
}

/** What one grading says of a run. */
export interface GradeSummary extends Grading {
  /** In ascending order of coefficients. */
  readonly curve: readonly GradedPoint[]
  /** The point with the highest overall grade, that of the smallest coefficient where several have it; null without points. */
  readonly best: GradedPoint | null
}

/** The texts that have all three ratings, in ascending order of coefficients and prompts. @param grades of one grading */
export function gradedTexts(grades: readonly Grade[]): GradedText[] {
  const ratings = new Map(grades.map((grade) => [placeIn(grade), grade.rating]))
  const texts = new Map(grades.map(({ coefficient, prompt }) => [`${coefficient} ${prompt}`, { coefficient, prompt }]))
  const ordered = [...texts.values()].sort((a, b) => a.coefficient - b.coefficient || a.prompt - b.prompt)
  return ordered.flatMap((text) => {
    const [concept, prompt, fluency] = aspects.map((aspect) => ratings.get(placeIn({ ...text, aspect })))
    if (concept === undefined || prompt === undefined || fluency === undefined) return []
    const overall = harmonicMean([concept, prompt, fluency])
    return [{ coefficient: text.coefficient, index: text.prompt, concept, prompt, fluency, overall }]
  })
}

/**
 * The means at every coefficient, and the best one.
 * @param grades of one grading
 */
export function summariseGrades(grading: Grading, grades: readonly Grade[]): GradeSummary {
  const { grader, model, source, concept, rubric } = grading
  const texts = gradedTexts(grades)
  const coefficients = [...new Set(texts.map(({ coefficient }) => coefficient))]
  const curve = coefficients.map((coefficient) => pointOf(texts.filter((text) => text.coefficient === coefficient)))
  const best = curve.reduce<GradedPoint | null>((a, b) => (a && a.overall >= b.overall ? a : b), null)
  return { grader, model, source, concept, rubric, curve, best }
}

function pointOf(texts: readonly GradedText[]): GradedPoint {
  const of = (name: Aspect | "overall"): number => mean(texts.map((text) => text[name]))
  const { coefficient } = texts[0] as GradedText
  const means = { concept: of("concept"), prompt: of("prompt"), fluency: of("fluency"), overall: of("overall") }
  return { coefficient, ...means, texts: texts.length }
}
