import { createRequire } from "node:module"
import { join } from "node:path"
import type { Device, FoundRedline, Model, RunIdentity, SteeringVector } from "../index.ts"
import { hashModel, openRun, type OpenRun, sha256, writeFileAtomic, writeReport } from "../node.ts"
import { describeFolder } from "./session.ts"
import type { Terminal } from "./terminal.ts"
import { counted } from "./text.ts"
import { describeVector } from "./vectors.ts"
import { version } from "./version.ts"

/** What a run's record says of program, adapter and models. */
export type RunFacts = Pick<RunIdentity, "versions" | "adapter" | "model" | "evaluator">

/** A model and the folder that it was loaded from. */
export interface LoadedFrom {
  readonly model: Model
  readonly folder: string
}

/** What a search is about to do. */
export interface Search extends Pick<RunIdentity, "prompts" | "settings"> {
  readonly vector: SteeringVector
}

/** The facts of a run by `writer`, with another model to judge where there is one. It hashes the models' files. */
export async function runFacts(device: Device, writer: LoadedFrom, evaluator?: LoadedFrom): Promise<RunFacts> {
  return {
    versions: versions(),
    adapter: { ...device.facts },
    model: await identityOf(writer),
    ...(evaluator && { evaluator: await identityOf(evaluator) }),
  }
}

/**
 * Opens the folder of a search, which goes on where the same search stopped earlier.
 * @throws InputError naming the first difference when another search is there
 */
export async function openSearch(
  folder: string,
  facts: RunFacts,
  { vector, prompts, settings }: Search,
  model: Model,
  terminal: Terminal,
): Promise<OpenRun> {
  const about = { ...describeVector(vector), sha256: sha256(vector.toSafetensors()) }
  const identity = { ...facts, vector: about, layers: vector.layers, prompts, settings }
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

/** Of the program and what it runs on. */
export function versions(): { redline: string; node: string; webgpu: string } {
  return { redline: version(), node: process.version, webgpu: webgpuVersion() }
}

async function identityOf({ model, folder }: LoadedFrom): Promise<RunIdentity["model"]> {
  const { path: _, ...shape } = describeFolder(folder, model)
  return { ...shape, sha256: await hashModel(folder) }
}

function webgpuVersion(): string {
  return (createRequire(import.meta.url)("webgpu/package.json") as { version: string }).version
}
