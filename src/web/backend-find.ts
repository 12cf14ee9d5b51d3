import type { Device } from "../engine/device.ts"
import type { Model } from "../engine/model.ts"
import { type CurvePoint, type EncodedPrompt, findRedline, type FindOptions, findSettings } from "../steering/find.ts"
import type { MetricName } from "../steering/metrics.ts"
import { describeVector, type RecordedPoint, resultOf, type RunIdentity, writePoints, writeRecord } from "../steering/record.ts"
import { residualUnit } from "../steering/residual-unit.ts"
import type { SteeringVector } from "../steering/vector.ts"
import type { FindEvent, FindRequest } from "./protocol.ts"

/** What a search's record says of where it ran. */
export interface RunFacts {
  readonly versions: Readonly<Record<string, string>>
  readonly device: Device
  /** sha256 of the model's files. */
  readonly modelHash: string
}

/** Searches the redline and emits what is known as it comes, the run's files at the end. Aborted, it may end without. */
export async function find(
  model: Model,
  vector: SteeringVector,
  request: FindRequest,
  facts: RunFacts,
  emit: (event: FindEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const settings = findSettings(optionsOf(request))
  const prompts = request.prompts.map((text) => encoded(model, text, request.chat, settings.tokens))
  const ids = prompts.map((prompt) => prompt.ids)
  emit({ type: "settings", metric: settings.metric, layers: vector.layers, unit: await residualUnit(model, vector, ids) })
  let lines = ""
  // A large batch has seconds of decoding: other visitors' tokens pass in between.
  const show = async (points: readonly CurvePoint[]): Promise<void> => {
    const recorded: RecordedPoint[] = []
    for (const point of points) {
      await new Promise((resolve) => setTimeout(resolve))
      if (signal.aborted) return
      const one = withPieces(model, point)
      recorded.push(one)
      emit({ type: "point", ...shown(one) })
    }
    lines += writePoints(recorded)
  }
  let showing = Promise.resolve()
  const found = await findRedline(model, vector, {
    ...settings,
    prompts,
    record: {
      known: [],
      append(points) {
        showing = showing.then(() => show(points))
        showing.catch(() => {}) // thrown below
      },
    },
    signal,
    onProgress: ({ done, total, batch }) => emit({ type: "searching", done, total, batch }),
  })
  await showing
  if (found.stopped) return
  const { layers, baseline, threshold, crossing, max, minimum, reason } = found
  const identity = await identityOf(model, vector, facts, { layers, prompts, settings })
  emit({
    type: "found",
    metric: settings.metric,
    layers,
    baseline,
    limit: threshold,
    crossing,
    max,
    minimum,
    ...(reason !== undefined && { reason }),
    files: { "run.json": writeRecord({ ...identity, result: resultOf(found) }), "curve.jsonl": lines },
  })
}

/** sha256 of bytes, in hexadecimal. */
async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>)
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("")
}

function optionsOf({ coefficients, tokens, repetitionPenalty, temperature, seed, threshold, metric }: FindRequest): FindOptions {
  return {
    ...(coefficients && { coefficients }),
    ...(tokens !== undefined && { tokens }),
    ...(repetitionPenalty !== undefined && { repetitionPenalty }),
    ...(temperature !== undefined && { temperature }),
    ...(seed !== undefined && { seed }),
    ...(threshold !== undefined && { threshold }),
    ...(metric !== undefined && { metric: metric as MetricName }),
  }
}

function encoded(model: Model, text: string, chat: boolean, tokens: number): EncodedPrompt {
  if (!chat) return { text, ids: model.encode(text, tokens) }
  return { text, ids: model.encodeChat([{ role: "user", content: text }], tokens), chat: true }
}

/** The point with the text of each token, made in one walk over the ids: a search has tens of thousands. */
function withPieces(model: Model, point: CurvePoint): RecordedPoint {
  const completions = point.completions.map((completion) => {
    const stream = model.tokenizer?.stream()
    const pieces = completion.ids.map((id) => stream?.push(id) ?? "")
    if (pieces.length > 0) pieces[pieces.length - 1] += stream?.end() ?? ""
    return { ...completion, pieces }
  })
  return { ...point, completions }
}

/** A point as the page draws it. */
function shown({ coefficient, metric, completions }: RecordedPoint): Omit<Extract<FindEvent, { type: "point" }>, "type"> {
  return {
    coefficient,
    metric: finite(metric),
    completions: completions.map(({ pieces = [], logprobs }) => ({ pieces, logprobs: logprobs.map(finite) })),
  }
}

/** JSON has no numbers that are not finite. */
export const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)

async function identityOf(
  { name, config, precision }: Model,
  vector: SteeringVector,
  { versions, device, modelHash }: RunFacts,
  search: Pick<RunIdentity, "layers" | "prompts" | "settings">,
): Promise<RunIdentity> {
  return {
    versions,
    adapter: { ...device.facts },
    model: { name, ...config, ...(precision.matmul !== "f32" && { precision }), sha256: modelHash },
    vector: { ...describeVector(vector), sha256: await sha256(vector.toSafetensors()) },
    ...search,
  }
}
