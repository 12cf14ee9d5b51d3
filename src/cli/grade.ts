import {
  type Agreement,
  agreementWithGrammar,
  agreementWithLabels,
  conceptOf,
  estimateGrading,
  type Grade,
  gradedTexts,
  GraderError,
  gradeQuestions,
  type Grader,
  type Grading,
  localGrader,
  type Question,
  questionsOf,
  summariseGrades,
} from "../index.ts"
import {
  defaultRubric,
  type EndpointWait,
  gradesIn,
  KEY_VARIABLES,
  openGrades,
  remoteGrader,
  sha256,
  writeReport,
} from "../node.ts"
import type { Command, Context } from "./command.ts"
import { agreementLines, estimateLine, gradesConclusion, gradesTable } from "./grade-report.ts"
import { type GradeRequest, readGradeRequest, type RemoteGraderRequest } from "./grade-request.ts"
import { openSession, type Session, shortPath } from "./session.ts"
import type { Terminal } from "./terminal.ts"
import { counted, wrap } from "./text.ts"

export const grade: Command = {
  name: "grade",
  summary: "have a language model rate a run's texts: is the concept there, the prompt served, the text fluent",
  operands: { value: "RUN", help: "a folder that redline find --out wrote", least: 1, most: 1 },
  options: {
    "concept": { value: "TEXT", help: "what the vector steers to; the name of its pairs' file unless told" },
    "coefficients": { value: "LIST", help: "those to grade, as start:end:step or 0,1,2.5; all of the run unless told" },
    "grader": { value: "NAME", help: "local (a model on this machine, no network), anthropic or openai; local unless told" },
    "grader-model": { value: "NAME", help: "of anthropic and openai: the model that rates" },
    "base-url": { value: "URL", help: "of any endpoint that speaks the grader's protocol; the service's own unless told" },
    "rubric": { value: "FILE", help: "the questions, Markdown or JSON; AxBench's three unless told" },
    "concurrency": { value: "N", help: "questions asked at a time; 8 unless told" },
    "per-minute": { value: "N", help: "questions begun in a minute, at most; no limit unless told" },
    "labels": { value: "FILE.json", help: "labels by hand to compare with, as redline study takes them" },
    "dry-run": { help: "say what would be asked, and ask nothing" },
  },
  notes: [
    "AxBench's way (Wu et al. 2025): each text is rated 0, 1 or 2 on concept, prompt and fluency, a question each; overall is the " +
      "harmonic mean, 0 where one is. The local grader's ratings are the expected ones by the probabilities of the answers 0, 1 and 2; it " +
      "is the run's own model where that comes with redline, else --model DIR.",
    `The key is read from ${KEY_VARIABLES.anthropic} or ${KEY_VARIABLES.openai} and written nowhere. A busy endpoint is asked again as ` +
      "late as it says. Every rating goes into RUN/grades.jsonl as it comes: run it again after a stop and it goes on; what was answered " +
      "is never asked twice. report.html shows the grades.",
    `The rubric to change a copy of: ${shortPath(defaultRubric)}.`,
    "Beside a grammar (of the embedded models) or labels: how often a rating of at least so much and the truth agree, Cohen's kappa, and " +
      "the AUC, the chance that a good text is rated above a bad one.",
    "JSON: { run, grader, model, source, concept, rubric, estimate, unrated, curve: [{ coefficient, concept, prompt, fluency, overall, " +
      "texts }], best, redline, agreement: [{ aspect, truth, atLeast, items, positive, agree, kappa, auc }] }; with --dry-run " +
      "the estimate alone: { questions, distinct, known, calls, inputTokens, outputTokens }.",
  ],
  examples: [
    "redline grade runs/bridge",
    "redline grade runs/bridge --grader openai --grader-model gpt-4o-mini --dry-run",
    'redline grade runs/mine --grader openai --base-url http://localhost:8080/v1 --grader-model any --concept "the sea"',
  ],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal, signal } = context
  const request = await readGradeRequest(options)
  const { folder, concept, rubricSha256, by } = request
  const grading = { grader: by.grader, model: by.model, source: by.source, concept, rubric: rubricSha256 }
  const keyOf = (ask: string): string => hash([by.grader, by.model, by.source, ask])
  const questions = questionsOf(request.run, request.rubric, concept, keyOf, request.coefficients)
  const estimate = estimateGrading(questions, await gradesIn(folder), by.grader)
  if (options.has("dry-run")) return terminal.json ? terminal.document(estimate) : terminal.print(estimateLine(estimate))
  terminal.note(estimateLine(estimate))
  if (by.grader === "local" && !by.own) terminal.note(`note: ${by.model} is not the model that wrote the texts`)

  const grades = await gradedBy(request, questions, grading, estimate.calls, context)
  signal.throwIfAborted()
  const unrated = questions.length - grades.length
  if (unrated > 0) terminal.note(`note: ${counted(unrated, "answer")} without a rating; run it again to ask for them anew`)
  const summary = summariseGrades(grading, grades)
  if (!summary.best)
    throw new GraderError(`${by.model}: no text has all three ratings: its answers do not end as the rubric asks`)
  const agreement = agreementOf(request, grades)
  await writeReport(folder)
  if (terminal.json) {
    const redline = request.run.result?.max
    return terminal.document({ run: request.run.name, ...summary, estimate, unrated, redline, agreement })
  }
  const heading = `${by.model} (${by.grader}) rates «${concept}» in ${counted(new Set(questions.map(textOf)).size, "text")} of ${folder}`
  terminal.print(...wrap(heading, terminal.width), "", ...gradesTable(summary, request.run), "")
  terminal.print(...gradesConclusion(summary, request.run).flatMap((sentence) => wrap(sentence, terminal.width)))
  if (agreement.length > 0) terminal.print("", ...agreementLines(agreement))
}

/** Asks what is not known yet. The model of a local grader is loaded for that alone. */
async function gradedBy(
  { folder, by }: GradeRequest,
  questions: readonly Question[],
  grading: Grading,
  calls: number,
  context: Context,
): Promise<Grade[]> {
  const { terminal, signal } = context
  using store = await openGrades(folder)
  if (store.torn) terminal.note(`note: ${folder}/grades.jsonl: a damaged line at its end dropped`)
  using session = by.grader === "local" && calls > 0 ? await sessionOf(by.folder, context) : undefined
  const grader = by.grader === "local" ? session && localGrader(session.model, by.source) : remote(by, terminal)
  terminal.progress(`asking ${by.model}`)
  return await gradeQuestions(questions, grading, grader ?? NOBODY, store, {
    signal,
    onProgress: (done, total) => terminal.progress(`${by.model}: ${done} of ${counted(total, "answer")}`),
  })
}

/** Where every answer is known. */
const NOBODY: Grader = { grader: "local", model: "", source: "", rate: () => Promise.resolve() }

async function sessionOf(folder: string, context: Context): Promise<Session> {
  const session = await openSession({ ...context, options: context.options.withDefaults({ model: folder }) }, () => {})
  session.announce()
  return session
}

function remote({ key, concurrency, perMinute, ...endpoint }: RemoteGraderRequest, terminal: Terminal): Grader {
  return remoteGrader({
    ...endpoint,
    key: key as string, // readGradeRequest has refused none
    ...(concurrency !== undefined && { concurrency }),
    ...(perMinute !== undefined && { perMinute }),
    onWait: sayWait(terminal),
  })
}

/** Says that an endpoint is busy; questions that are refused together are one line. */
function sayWait(terminal: Terminal): (wait: EndpointWait) => void {
  let until = 0
  return ({ host, status, seconds }) => {
    if (Date.now() < until) return
    until = Date.now() + (seconds ?? 1) * 1000
    terminal.note(`note: ${host} answers ${status}: ${seconds === undefined ? "asked again soon" : `waiting ${seconds} s`}`)
  }
}

function agreementOf({ run: graded, concept, labels, grammar }: GradeRequest, grades: readonly Grade[]): Agreement[] {
  const texts = gradedTexts(grades)
  const topic = [concept, conceptOf(graded), graded.name].find((name) => name !== undefined && grammar?.topics.includes(name))
  return [
    ...(grammar ? agreementWithGrammar(texts, graded, grammar, topic) : []),
    ...(labels ? agreementWithLabels(texts, labels.labels, labels.topic) : []),
  ]
}

const textOf = ({ coefficient, prompt }: Question): string => `${coefficient} ${prompt}`
const hash = (parts: readonly string[]): string => sha256(Buffer.from(JSON.stringify(parts)))
