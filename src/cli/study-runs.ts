import { basename, resolve } from "node:path"
import { checkTopicNames, InputError, judgeTopic, type Run } from "../index.ts"
import { type OpenStudy, openStudy, readRun } from "../node.ts"
import type { Context } from "./command.ts"
import { assertFolderWritable } from "./files.ts"
import type { StudyOutcome } from "./study-pairs.ts"
import { readTruth, type TruthSource } from "./study-request.ts"

/**
 * Judges runs that are done, each a topic by its folder's name, without their model.
 * @throws InputError for runs of several models, a run that is not done, and labels that do not fit
 */
export async function studyRuns({ options }: Context, folders: readonly string[]): Promise<StudyOutcome> {
  const names = folders.map((folder) => basename(resolve(folder)))
  checkTopicNames(names)
  const runs = await Promise.all(folders.map(readRun))
  const first = runs[0] as Run
  for (const [i, run] of runs.entries()) checkRun(folders[i] as string, run, first)
  const source = await readTruth(options, first.model.name, undefined)
  const out = options.text("out")
  if (out !== undefined) await assertFolderWritable(out)
  source?.labels?.check(new Map(runs.map(({ name, curve }) => [name, curve.map(({ coefficient }) => coefficient)])))
  const studied = runs.map((run) => {
    const unit = run.result?.unit as number
    return judgeTopic(run.name, { ...run, unit }, (source as TruthSource).truth)
  })
  const open = out === undefined ? undefined : await openStudyOf(out, runs, source)
  for (const topic of studied) await open?.add(topic)
  return {
    ...(open && { open }),
    model: first.model,
    adapter: first.adapter,
    settings: { ...first.settings },
    studied,
    sensitivity: [],
  }
}

function checkRun(folder: string, run: Run, first: Run): void {
  if (run.result === null || run.result.stopped) {
    const todo = "run it again with the same settings: it goes on"
    throw new InputError({ where: folder, expected: "a run that is done", found: "one that was stopped", todo })
  }
  if (run.model["sha256"] !== first.model["sha256"]) {
    throw new InputError({ where: folder, expected: `a run of ${first.model.name}`, found: `one of ${run.model.name}` })
  }
}

function openStudyOf(out: string, runs: readonly Run[], truth: TruthSource | undefined): Promise<OpenStudy> {
  const { versions, adapter, model, layers, prompts, settings } = runs[0] as Run
  const topics = Object.fromEntries(runs.map(({ name, vector }) => [name, vector]))
  return openStudy(out, { versions, adapter, model, layers, prompts, settings }, { topics, truth: truth?.describe ?? {} })
}
