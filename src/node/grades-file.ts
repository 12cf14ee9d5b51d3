import { join } from "node:path"
import { type Grade, type GradeStore, readGrades, writeGrades } from "../steering/grades.ts"
import { openAppend, wholeLines } from "./append-file.ts"
import { assertWritable } from "./files.ts"

/** The name of the file of ratings in a run's folder. */
export const GRADES = "grades.jsonl"

/** The ratings in a run's folder, open for more. Close it. */
export interface OpenGrades extends GradeStore, Disposable {
  /** Whether the file ended in a line that was not whole, which is dropped. */
  readonly torn: boolean
}

/**
 * Opens the ratings of a run's folder: those of a grading that was interrupted are known, and new ones are added line by line as they
 * come.
 * @throws InputError for a damaged line, or when the file cannot be written
 */
export async function openGrades(folder: string): Promise<OpenGrades> {
  const path = join(folder, GRADES)
  await assertWritable(path)
  const found = await wholeLines(path)
  const known = readGrades(found?.lines ?? "", path)
  const file = await openAppend(path, found?.bytes ?? 0)
  return {
    known,
    torn: found?.torn ?? false,
    append: (grades) => file.append(writeGrades(grades)),
    [Symbol.dispose]: file.close,
  }
}

/**
 * The ratings of a run's folder; none where it was not graded.
 * @throws InputError for a damaged line
 */
export async function gradesIn(folder: string): Promise<Grade[]> {
  const path = join(folder, GRADES)
  return readGrades((await wholeLines(path))?.lines ?? "", path)
}
