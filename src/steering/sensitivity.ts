import * as z from "zod"
import { checkShape, parseJson } from "../engine/json.ts"
import type { Model } from "../engine/model.ts"
import type { Metrics } from "./metrics.ts"
import { mean } from "./numbers.ts"
import {
  type Candidate,
  candidates,
  compareMethods,
  type StudiedTopic,
  type StudyOptions,
  type StudySettings,
  type StudyTopic,
  studyTopics,
} from "./study-run.ts"
import type { MethodScore } from "./study.ts"

/** A study with one setting changed. Several of the same setting and value, such as seeds, count as one. */
export interface Variation {
  /** What is changed, such as «tokens». */
  readonly setting: string
  /** To what, such as «8». */
  readonly value: string
  /** Tells variations of the same setting and value apart. */
  readonly run?: string
  readonly options: Partial<
    Pick<StudySettings, "tokens" | "temperature" | "seed" | "repetitionPenalty" | "prompts" | "evaluator">
  >
  /** Another model that writes, with vectors of its own. */
  readonly generator?: { readonly model: Model; readonly topics: readonly StudyTopic[] }
}

/** How well the methods do with a setting changed. */
export interface Sensitivity {
  readonly setting: string
  readonly value: string
  /** Against the truth of the texts that this setting gave. */
  readonly methods: readonly MethodScore[]
  /** Against the truth of the reference; null where another model wrote. */
  readonly againstReference: readonly MethodScore[] | null
}

/**
 * The scores to go by: those by the truth of a setting's own texts, or by the reference's where on half or more of the topics
 * not even the unsteered texts make sense, as when they are too short to hold a sentence.
 */
export function telling({ methods, againstReference }: Sensitivity): { methods: readonly MethodScore[]; byReference: boolean } {
  const lost = (methods[0]?.picks ?? []).map(({ last }): number => (last === 0 ? 1 : 0))
  const byReference = againstReference !== null && lost.length > 0 && mean(lost) >= 0.5
  return { methods: byReference ? againstReference : methods, byReference }
}

/** What sensitivity is shown for: ALERT on nll at 10 to 50 %, on the improbable share, and iso-KL. */
export const sensitivityCandidates: readonly Candidate[] = candidates.filter(
  ({ method, options }) => method === "iso-kl" || (method === "alert" && ["nll", "improbable"].includes(options.metric ?? "nll")),
)

/** The numbers of the settings that are varied, one at a time: those of the ALERT report, and its range of temperatures and penalties. */
export const numericVariations: readonly Variation[] = [
  ...[4, 8, 12, 16, 64].map((tokens): Variation => ({ setting: "tokens", value: `${tokens}`, options: { tokens } })),
  ...[1, 1.2, 1.3].map((repetitionPenalty): Variation => {
    return { setting: "repetition penalty", value: `${repetitionPenalty}`, options: { repetitionPenalty } }
  }),
  ...[0.5, 1].flatMap((temperature) =>
    [1, 2, 3].map((run): Variation => {
      // Rows of a batch draw with the seeds that follow: seeds far apart share none.
      const options = { temperature, seed: run * 1_000_000 }
      return { setting: "temperature", value: `${temperature}`, run: `seed ${options.seed}`, options }
    }),
  ),
]

const kindsShape = z.record(
  z.string(),
  z.array(z.string("a prompt").min(1, "a prompt that is not empty"), "a list of prompts").min(1, "at least one prompt"),
  "an object of lists of prompts",
)

/**
 * Prompts by their kind, from JSON: { kind: [prompts] }.
 * @param where names the text in errors
 * @throws InputError for what is no such object
 */
export function parsePromptKinds(json: string, where: string): ReadonlyMap<string, readonly string[]> {
  return new Map(Object.entries(checkShape(kindsShape, parseJson(json, where), where)))
}

export interface SensitivityOptions extends StudySettings, Pick<StudyOptions, "onProgress"> {
  /** Opens the record of a topic with a setting changed. */
  readonly record?: (variation: Variation, topic: StudyTopic) => ReturnType<NonNullable<StudyOptions["record"]>>
  readonly onVariation?: (variation: Variation, done: number, total: number) => void
}

/** A variation with what came of it. */
export interface StudiedVariation {
  readonly variation: Variation
  readonly studied: readonly StudiedTopic[]
}

/** Runs a study again for every variation. */
export async function studyVariations(
  model: Model,
  topics: readonly StudyTopic[],
  variations: readonly Variation[],
  options: SensitivityOptions,
): Promise<StudiedVariation[]> {
  const done: StudiedVariation[] = []
  const { record, onVariation, ...base } = options
  for (const variation of variations) {
    onVariation?.(variation, done.length, variations.length)
    const writer = variation.generator ?? { model, topics }
    const studied = await studyTopics(writer.model, writer.topics, {
      ...base,
      ...variation.options,
      textLoss: false,
      ...(record && { record: (topic: StudyTopic) => record(variation, topic) }),
    })
    done.push({ variation, studied })
  }
  return done
}

/** The scores of every setting and value, in the order of the variations, with those of single prompts of the reference last. */
export function sensitivity(
  reference: readonly StudiedTopic[],
  done: readonly StudiedVariation[],
  compared: readonly Candidate[] = sensitivityCandidates,
): Sensitivity[] {
  const rows = new Map<string, StudiedVariation[]>()
  for (const each of done) {
    const key = `${each.variation.setting}\n${each.variation.value}`
    rows.set(key, [...(rows.get(key) ?? []), each])
  }
  const varied = [...rows.values()].map((group) => {
    const { setting, value, generator } = (group[0] as StudiedVariation).variation
    const studied = group.flatMap((each) => each.studied)
    const methods = compareMethods(studied, compared)
    const againstReference = generator ? null : compareMethods(studied.map(withLastOf(reference)), compared)
    return { setting, value, methods, againstReference }
  })
  return [...varied, ...alone(reference, compared)]
}

/** How the methods do with one of the reference's prompts alone, judged by the truth of all. */
function alone(reference: readonly StudiedTopic[], compared: readonly Candidate[]): Sensitivity[] {
  const prompts = reference[0]?.curve[0]?.metricsByPrompt.length ?? 0
  if (prompts < 2) return []
  const single = Array.from({ length: prompts }, (_, prompt) => reference.map((topic) => ofPrompt(topic, prompt))).flat()
  const methods = compareMethods(single, compared)
  return [{ setting: "prompts", value: `1 of ${prompts}`, methods, againstReference: methods }]
}

function ofPrompt(topic: StudiedTopic, prompt: number): StudiedTopic {
  const curve = topic.curve.map((point) => ({ ...point, metricsByPrompt: [point.metricsByPrompt[prompt] as Metrics] }))
  return { ...topic, curve }
}

const withLastOf =
  (reference: readonly StudiedTopic[]) =>
  (topic: StudiedTopic): StudiedTopic => ({
    ...topic,
    last: reference.find(({ name }) => name === topic.name)?.last ?? topic.last,
  })
