import { createHash } from "node:crypto"
import { readdir } from "node:fs/promises"
import { basename, join, resolve } from "node:path"
import { InputError } from "../engine/errors.ts"
import type { CurvePoint, FoundRedline } from "../steering/find.ts"
import {
  checkSameRun,
  readPoints,
  readRecord,
  type RecordedPoint,
  resultOf,
  type Run,
  type RunIdentity,
  tokenPieces,
  writePoints,
  writeRecord,
} from "../steering/record.ts"
import { isStudyRecord } from "../steering/study-record.ts"
import { openAppend, wholeLines } from "./append-file.ts"
import { fileSource, makeFolder, openFolder, writeFileAtomic } from "./files.ts"

/** The names of files in the folder of a run, and of a study. */
export const RECORD = "run.json"
export const CURVE = "curve.jsonl"
const SECONDS = "seconds.json"

export interface OpenRunOptions {
  /** Decodes ids, for the text of each token; without it a report shows whole texts alone. */
  readonly decode?: (ids: readonly number[]) => string | undefined
}

/** A run's folder while its search runs. Close it. */
export interface OpenRun extends Disposable {
  /** What an earlier, interrupted search left, in the order it was found. */
  readonly known: readonly RecordedPoint[]
  /** Lines at the end of curve.jsonl that were not whole and are gone. */
  readonly dropped: number
  /**
   * Adds the points of a batch at once, before it returns: a kill later loses nothing of them.
   * @throws InputError when the disk is full; what stood there before stays.
   */
  append(points: readonly CurvePoint[]): void
  /** Writes the result, and the times into a file of their own: the others are the same for every run. */
  finish(found: FoundRedline, seconds?: Readonly<Record<string, number>>): Promise<void>
  close(): void
}

/**
 * Opens a folder for a run: a fresh one, or that of the same run, interrupted or done, whose points are then known.
 * @throws InputError naming the first difference when another run is there, or when it cannot be written.
 */
export async function openRun(folder: string, identity: RunIdentity, options: OpenRunOptions = {}): Promise<OpenRun> {
  await makeFolder(folder)
  const before = await earlier(folder, identity)
  const curve = join(folder, CURVE)
  if (!before) {
    await writeFileAtomic(curve, "")
    await writeFileAtomic(join(folder, RECORD), writeRecord({ ...identity, result: null }))
  }
  const file = await openAppend(curve, before?.bytes ?? 0)
  return {
    known: before?.points ?? [],
    dropped: before?.dropped ?? 0,
    append(points) {
      file.append(writePoints(points.map((point) => withPieces(point, options.decode))))
    },
    async finish(found, seconds) {
      await writeFileAtomic(join(folder, RECORD), writeRecord({ ...identity, result: resultOf(found) }))
      if (seconds) await writeFileAtomic(join(folder, SECONDS), `${JSON.stringify(seconds, null, 2)}\n`)
    },
    close: file.close,
    [Symbol.dispose]: file.close,
  }
}

/**
 * Reads a run's folder.
 * @throws InputError when there is none, or it is damaged.
 */
export async function readRun(folder: string): Promise<Run> {
  const record = await textIn(folder, RECORD)
  if (record === undefined) {
    throw new InputError({
      where: folder,
      expected: `a run's folder with ${RECORD}`,
      found: "none",
      todo: "make one with redline find --out or redline study --out",
    })
  }
  if (isStudyRecord(record)) {
    const todo = `name folders in ${join(folder, "topics")}`
    throw new InputError({ where: folder, expected: "a run's folder", found: "a study's", todo })
  }
  const { points } = readPoints((await textIn(folder, CURVE)) ?? "", join(folder, CURVE))
  const curve = points.sort((a, b) => a.coefficient - b.coefficient)
  return { ...readRecord(record, join(folder, RECORD)), name: basename(resolve(folder)), curve }
}

/** Weights above this are hashed by their header, their size and samples: a whole 8B model would take half a minute. */
const WHOLE = 2 ** 30
const SAMPLES = 64
const SAMPLE_BYTES = 2 ** 20

/**
 * sha256 of a model's folder: names and bytes of its JSON files and weights, in the names' order. Of a weights file above 1 GiB its
 * size and 64 evenly spaced MiB count, the first with the header among them.
 */
export async function hashModel(folder: string): Promise<string> {
  const hash = createHash("sha256")
  const names = (await readdir(folder)).filter((name) => /^(config|generation_config|tokenizer)\.json$|\.safetensors$/.test(name))
  for (const name of names.sort()) {
    await using file = await fileSource(join(folder, name))
    const size = file.byteLength
    hash.update(`${name}\n${size}\n`)
    const step = size > WHOLE ? (size - SAMPLE_BYTES) / (SAMPLES - 1) : SAMPLE_BYTES
    for (let start = 0; start < size; start += step) {
      const first = Math.floor(start)
      hash.update(new Uint8Array(await file.slice(first, Math.min(first + SAMPLE_BYTES, size))))
    }
  }
  return hash.digest("hex")
}

/** sha256 of bytes, in hexadecimal. */
export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

interface Earlier {
  readonly points: RecordedPoint[]
  /** Of curve.jsonl, as far as it is whole. */
  readonly bytes: number
  readonly dropped: number
}

async function earlier(folder: string, identity: RunIdentity): Promise<Earlier | undefined> {
  const record = await textIn(folder, RECORD)
  if (record === undefined) return undefined
  const where = join(folder, RECORD)
  checkSameRun(readRecord(record, where), identity, where)
  const path = join(folder, CURVE)
  const found = await wholeLines(path)
  if (!found) return { points: [], bytes: 0, dropped: 0 }
  const { points, kept, dropped } = readPoints(found.lines, path)
  return { points, bytes: Buffer.byteLength(found.lines.slice(0, kept)), dropped: dropped + (found.torn ? 1 : 0) }
}

/** A file's text; undefined where there is none. */
export async function textIn(folder: string, file: string): Promise<string | undefined> {
  await using opened = await openFolder(folder)
  return await opened.readText(file)
}

function withPieces(point: CurvePoint, decode: OpenRunOptions["decode"]): RecordedPoint {
  if (!decode) return point
  const completions = point.completions.map((completion) => {
    const pieces = tokenPieces(completion.ids, (ids) => decode(ids) ?? "")
    return { ...completion, pieces }
  })
  return { ...point, completions }
}
