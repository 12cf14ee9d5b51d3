import {
  featureVector,
  InputError,
  type LayerQuality,
  Sae,
  SteeringVector,
  suggestLayers,
  trainSaeVector,
  type TrainingMethod,
  trainVector,
  vectorQuality,
} from "../index.ts"
import { openFolder } from "../node.ts"
import type { Context } from "./command.ts"
import { middleThird } from "./layers.ts"
import type { Session } from "./session.ts"
import { bytes, counted } from "./text.ts"
import type { Target, TrainRequest } from "./train-request.ts"

/** A vector and what is known of it. */
export interface Trained extends Target {
  readonly vector: SteeringVector
  /** Undefined where nobody asked. */
  readonly quality: readonly LayerQuality[] | undefined
  readonly suggested: readonly number[] | undefined
}

/** Makes all vectors that are asked for, with progress. */
export async function trainTargets(request: TrainRequest, session: Session, context: Context): Promise<Trained[]> {
  if (request.sae) return trainInSae(request, request.sae, session, context)
  const trained: Trained[] = []
  const warnings = new Set<string>()
  const onWarning = (warning: string): void => {
    if (!warnings.has(warning)) context.terminal.note(`note: ${warning}`)
    warnings.add(warning)
  }
  for (const [i, target] of request.targets.entries()) {
    const label = request.targets.length === 1 ? "" : `vector ${i + 1} of ${request.targets.length}: `
    trained.push(await trainOne(request, target, session, context, label, onWarning))
  }
  return trained
}

async function trainOne(
  { method, layers, quality }: TrainRequest,
  target: Target,
  { model }: Session,
  { terminal, signal }: Context,
  label: string,
  onWarning: (warning: string) => void,
): Promise<Trained> {
  const { pairs, from } = target.source
  const chosen = typeof layers === "string" ? undefined : (layers ?? middleThird(model.config.layers))
  const options = {
    method,
    ...(chosen !== undefined && { layers: chosen }),
    createdFrom: from,
    signal,
    onWarning,
    onProgress: ({ stage, done, total }: { stage: string; done: number; total: number }) =>
      terminal.progress(`${label}${stage} ${done} of ${counted(total, "pair")}`),
  }
  if (!quality) return { ...target, vector: await trainVector(model, pairs, options), quality: undefined, suggested: undefined }
  const report = await vectorQuality(model, pairs, options)
  const suggested = suggestLayers(report)
  if (layers !== "suggested") return { ...target, vector: report.vector, quality: report.layers, suggested }
  if (suggested.length > 0) return { ...target, vector: report.vector.select(suggested), quality: report.layers, suggested }
  const best = Math.max(...report.layers.map(({ accuracy }) => accuracy))
  throw new InputError({
    where: `${from}, --layers suggested`,
    expected: "a layer at which held-out pairs come apart",
    found: `an accuracy of ${best.toFixed(2)} at best, where 0.5 is chance`,
    todo: "give other pairs, or name the layers",
  })
}

/** One autoencoder at a time: each may take gigabytes. */
async function trainInSae(
  { targets, method }: TrainRequest,
  { folder: path, layers, feature }: NonNullable<TrainRequest["sae"]>,
  { model, device }: Session,
  { terminal, signal }: Context,
): Promise<Trained[]> {
  const parts: SteeringVector[][] = targets.map(() => [])
  await using folder = await openFolder(path)
  for (const layer of layers) {
    using sae = await Sae.load(folder, layer, {
      device,
      width: model.config.hiddenSize,
      signal,
      onProgress: ({ done, total }) =>
        terminal.progress(`loading the autoencoder of layer ${layer}: ${bytes(done)} of ${bytes(total)}`),
    })
    for (const [i, { source }] of targets.entries()) {
      if (feature !== undefined) parts[i]?.push(await featureVector(model, sae, feature))
      else
        parts[i]?.push(
          await trainSaeVector(model, sae, source.pairs, {
            method: method as Exclude<TrainingMethod, "pca-diff">,
            createdFrom: source.from,
            signal,
            onProgress: ({ done, total }) => terminal.progress(`layer ${layer}: training ${done} of ${counted(total, "pair")}`),
          }),
        )
    }
  }
  return targets.map((target, i) => ({
    ...target,
    vector: joined(parts[i] as SteeringVector[]),
    quality: undefined,
    suggested: undefined,
  }))
}

/** Vectors of different layers, made alike, as one. */
function joined(parts: readonly SteeringVector[]): SteeringVector {
  return new SteeringVector(
    parts.flatMap(({ directions }) => [...directions]),
    (parts[0] as SteeringVector).metadata,
  )
}
