import { join } from "node:path"
import { InputError } from "../engine/errors.ts"
import { makeFolder, writeFileAtomic } from "./files.ts"
import { type Grade, gradingsIn } from "../steering/grades.ts"
import { type GradeSummary, summariseGrades } from "../steering/grade-summary.ts"
import type { Run } from "../steering/record.ts"
import type { GradedTopic, GradesDrawn } from "../steering/report/grade-html.ts"
import type { Study } from "../steering/study-record.ts"
import { gradesIn } from "./grades-file.ts"
import { readRun } from "./run-folder.ts"
import { readStudy, topicFolder } from "./study-folder.ts"

/**
 * Draws the folder of a run or a study into it: report.html, and the figures as SVG and PNG.
 * @returns the files written
 * @throws InputError when there is neither, or the folder cannot be written.
 */
export async function writeReport(folder: string): Promise<string[]> {
  const study = await readStudy(folder)
  return study ? writeStudyReport(folder, study) : writeRunReport(folder)
}

async function writeStudyReport(folder: string, kept: Study): Promise<string[]> {
  const [figures, { bestFirst, studyHtml }, { document }] = await Promise.all([
    import("../steering/report/study-figures.ts"),
    import("../steering/report/study-html.ts"),
    drawing(),
  ])
  const study = bestFirst(kept)
  const methods = study.result ? figures.methodsFigure(study.result, document) : ""
  const truth = figures.truthFigure(study, document)
  const truthNarrow = figures.truthFigure(study, document, 360)
  const topics = figures.topicFigures(study, document)
  const html = studyHtml(study, { methods, truth, truthNarrow, topics, grades: await gradedTopics(folder, study) })
  const drawn = study.result ? { "methods.svg": methods, "truth.svg": truth } : {}
  return writeAll(folder, { "report.html": html, ...drawn })
}

async function writeRunReport(folder: string): Promise<string[]> {
  const run = await runWithCurve(folder)
  const { figures, html, document } = await drawing()
  const curve = figures.curveFigure(run, document)
  const all = figures.metricsFigure(run, document)
  const curveNarrow = figures.curveFigure(run, document, figures.NARROW)
  const grades = await drawnGrades(folder, run, document)
  const report = html.reportHtml(run, { curve, curveNarrow, metrics: figures.metricFigures(run, document), grades })
  const last = grades.at(-1)
  const graded = last && { "grades.svg": last.wide }
  return await writeAll(folder, { "report.html": report, "curve.svg": curve, "metrics.svg": all, ...graded })
}

/** @throws InputError for a run that was stopped before its first coefficient. */
async function runWithCurve(folder: string): Promise<Run> {
  const run = await readRun(folder)
  if (run.curve.length > 0) return run
  const todo = "run redline find with the same --out again: it goes on"
  throw new InputError({ where: join(folder, "curve.jsonl"), expected: "at least one coefficient", found: "none", todo })
}

/** The study's topics that were graded, by their last grading. */
async function gradedTopics(folder: string, { topics }: Study): Promise<GradedTopic[]> {
  const each = await Promise.all(
    Object.keys(topics).map(async (name) => {
      const own = topicFolder(folder, name)
      const summary = (await gradeSummaries(own)).at(-1)
      return summary ? [{ name, summary, max: (await readRun(own)).result?.max ?? null }] : []
    }),
  )
  return each.flat()
}

/** Every grading of the run, the last one last. */
async function drawnGrades(folder: string, run: Run, document: object): Promise<GradesDrawn[]> {
  const summaries = await gradeSummaries(folder)
  if (summaries.length === 0) return []
  const { gradesFigure } = await import("../steering/report/grade-figures.ts")
  const { NARROW } = await import("../steering/report/figures.ts")
  return summaries.map((summary) => {
    const [wide, narrow] = [gradesFigure(summary, run, document), gradesFigure(summary, run, document, NARROW)]
    return { summary, wide, narrow }
  })
}

/** Those of the gradings in a run's folder that have a text with all ratings. */
async function gradeSummaries(folder: string): Promise<GradeSummary[]> {
  const gradings = gradingsIn(await gradesIn(folder))
  return gradings.map((grades) => summariseGrades(grades[0] as Grade, grades)).filter(({ best }) => best !== null)
}

/**
 * Compares runs in one comparison.html, with its figure as SVG and PNG, in the folder `out`.
 * @returns the files written
 * @throws InputError without two runs, or when a folder holds none.
 */
export async function writeComparison(folders: readonly string[], out: string): Promise<string[]> {
  if (folders.length < 2) throw new InputError({ where: "runs", expected: "at least two to compare", found: `${folders.length}` })
  const runs = await Promise.all(folders.map(runWithCurve))
  const { figures, html, document } = await drawing()
  const figure = figures.comparisonFigure(runs, document)
  const narrow = figures.comparisonFigure(runs, document, figures.NARROW)
  await makeFolder(out)
  return await writeAll(out, { "comparison.html": html.comparisonHtml(runs, figure, narrow), "comparison.svg": figure })
}

/** An SVG as PNG, twice its size, on white. Text needs a font of the system's. */
export async function svgToPng(svg: string): Promise<Uint8Array> {
  const { Resvg } = await import("@resvg/resvg-js")
  const font = { loadSystemFonts: true, defaultFontFamily: "DejaVu Sans" }
  return new Resvg(svg, { background: "white", fitTo: { mode: "zoom", value: 2 }, font }).render().asPng()
}

async function writeAll(folder: string, files: Readonly<Record<string, string>>): Promise<string[]> {
  const written: string[] = []
  const write = async (name: string, data: string | Uint8Array): Promise<void> => {
    await writeFileAtomic(join(folder, name), data)
    written.push(join(folder, name))
  }
  for (const [name, text] of Object.entries(files)) {
    await write(name, text)
    if (name.endsWith(".svg")) await write(name.replace(/svg$/, "png"), await svgToPng(text))
  }
  return written
}

/** The drawing library takes a third of a second to load: only reports pay it. */
async function drawing() {
  const [figures, html, { parseHTML }] = await Promise.all([
    import("../steering/report/figures.ts"),
    import("../steering/report/html.ts"),
    import("linkedom"),
  ])
  return { figures, html, document: parseHTML("<html></html>").document as object }
}
