import { createRequire } from "node:module"
import { join } from "node:path"
import type { EncodedPrompt, FindSettings, FoundRedline, Model, SteeringVector } from "../index.ts"
import { hashModel, openRun, type OpenRun, sha256, writeFileAtomic, writeReport } from "../node.ts"
import type { Options } from "./options.ts"
import { describeFolder, modelPath, type Session } from "./session.ts"
import type { Terminal } from "./terminal.ts"
import { counted } from "./text.ts"
import { describeVector } from "./vectors.ts"
import { version } from "./version.ts"

/** What a search is about to do. */
export interface Search {
  readonly vector: SteeringVector
  readonly prompts: readonly EncodedPrompt[]
  readonly settings: FindSettings
  /** The model that judges, where it is another. */
  readonly evaluator?: { readonly model: Model; readonly folder: string }
}

/**
 * Opens the folder of a search, which goes on where the same search stopped earlier.
 * @throws InputError naming the first difference when another search is there
 */
export async function openSearch(
  folder: string,
  { device, model }: Session,
  options: Options,
  { vector, prompts, settings, evaluator }: Search,
  terminal: Terminal,
): Promise<OpenRun> {
  const identity = {
    versions: { redline: version(), node: process.version, webgpu: webgpuVersion() },
    adapter: { ...device.facts },
    model: await identityOf(modelPath(options), model),
    ...(evaluator && { evaluator: await identityOf(evaluator.folder, evaluator.model) }),
    vector: { ...describeVector(vector), sha256: sha256(vector.toSafetensors()) },
    layers: vector.layers,
    prompts,
    settings,
  }
  const run = await openRun(folder, identity, { decode: (ids) => model.decode(ids) })
  if (run.dropped > 0) terminal.note(`note: ${folder}/curve.jsonl: ${counted(run.dropped, "damaged line")} at its end dropped`)
  if (run.known.length > 0)
    terminal.note(`note: ${folder}: ${counted(run.known.length, "coefficient")} known from an earlier run`)
  return run
}

/** Writes what a search found: run.json, seconds.json, vector.safetensors, the figures and report.html. A stopped one stays open. */
export async function finishSearch(
  folder: string,
  run: OpenRun,
  found: FoundRedline,
  vector: SteeringVector,
  seconds: Readonly<Record<string, number>>,
): Promise<void> {
  await writeFileAtomic(join(folder, "vector.safetensors"), vector.toSafetensors())
  if (found.stopped) return
  await run.finish(found, seconds)
  await writeReport(folder)
}

async function identityOf(folder: string, model: Model): Promise<{ name: string }> {
  const { path: _, ...shape } = describeFolder(folder, model) as { path: string; name: string }
  return { ...shape, sha256: await hashModel(folder) } as { name: string }
}

function webgpuVersion(): string {
  return (createRequire(import.meta.url)("webgpu/package.json") as { version: string }).version
}
