import { basename, join, resolve } from "node:path"
import { toText } from "../steering/record.ts"
import {
  checkSameStudy,
  isStudyRecord,
  readStudyLines,
  readStudyRecord,
  type Study,
  type StudyIdentity,
  type StudyRecord,
  type StudyResult,
  writeStudyLines,
  writeStudyRecord,
} from "../steering/study-record.ts"
import type { StudiedTopic } from "../steering/study-run.ts"
import { makeFolder, writeFileAtomic } from "./files.ts"
import { CURVE, RECORD, textIn } from "./run-folder.ts"

/** A study's folder while it runs: its topics' searches have folders of their own in it, see {@link topicFolder}. */
export interface OpenStudy {
  /** The losses on ordinary text that an earlier study of the same settings left, by coefficient. */
  losses(topic: string): ReadonlyMap<number, number>
  /** Adds a topic that is done to curve.jsonl. */
  add(studied: StudiedTopic): Promise<void>
  finish(result: StudyResult): Promise<void>
}

/** Where a topic's search is kept: a run's folder like any other. */
export const topicFolder = (study: string, topic: string): string => join(study, "topics", topic)

/**
 * Opens a folder for a study: a fresh one, or that of a study of the same model and settings, which goes on.
 * @throws InputError naming the first difference when another study is there, or when it cannot be written.
 */
export async function openStudy(
  folder: string,
  identity: StudyIdentity,
  about: Pick<StudyRecord, "topics" | "truth">,
): Promise<OpenStudy> {
  await makeFolder(folder)
  const where = join(folder, RECORD)
  const record = await textIn(folder, RECORD)
  if (record !== undefined) checkSameStudy(readStudyRecord(record, where), identity, where)
  const before = record === undefined ? [] : await linesIn(folder)
  const write = (result: StudyResult | null): Promise<void> =>
    writeFileAtomic(where, writeStudyRecord({ ...identity, ...about, result }))
  await write(null)
  const done = new Map<string, string>()
  return {
    losses: (topic) => {
      const own = before.filter((line) => line.topic === topic)
      return new Map(own.flatMap(({ coefficient, textLoss }) => (textLoss === null ? [] : [[coefficient, textLoss]])))
    },
    async add(studied) {
      done.set(studied.name, writeStudyLines(studied))
      // What an earlier study knows of topics that are still to come stays until they are done.
      const rest = before.filter(({ topic }) => !done.has(topic)).map((line) => `${toText(line)}\n`)
      await writeFileAtomic(join(folder, CURVE), [...done.values(), ...rest].join(""))
    },
    finish: write,
  }
}

/**
 * Reads a study's folder; undefined where there is a run or nothing.
 * @throws InputError when it is damaged.
 */
export async function readStudy(folder: string): Promise<Study | undefined> {
  const record = await textIn(folder, RECORD)
  if (record === undefined || !isStudyRecord(record)) return undefined
  return { ...readStudyRecord(record, join(folder, RECORD)), name: basename(resolve(folder)), lines: await linesIn(folder) }
}

async function linesIn(folder: string): Promise<Study["lines"]> {
  return readStudyLines((await textIn(folder, CURVE)) ?? "", join(folder, CURVE))
}
