import { compareMethods, replayAll, scoreMinimum, type StudiedTopic, type StudyResult } from "../index.ts"
import { writeReport } from "../node.ts"
import type { Command, Context } from "./command.ts"
import { type StudyOutcome, studyPairs, writeLabelsTemplate } from "./study-pairs.ts"
import { studyLines } from "./study-report.ts"
import { readStudyRequest, runFolders, searchOptions } from "./study-request.ts"
import { studyRuns } from "./study-runs.ts"

export const study: Command = {
  name: "study",
  summary: "score every method that picks a coefficient against a ground truth, on many topics",
  operands: {
    value: "[FILE.jsonl … | RUN …]",
    help: "contrast pairs, a topic of each, or folders of runs that are done; the embedded model's pairs unless told",
    least: 0,
    most: Infinity,
  },
  options: {
    ...searchOptions,
    labels: {
      value: "FILE.json",
      help: 'labels by hand: { "topic": { "0": 1, "0.1": [1, 1, 0], "0.9": 0 } }, shares of texts that make sense',
    },
    grammar: {
      value: "FILE.json",
      help: "the grammar that says which sentences are possible; that of the embedded models for them",
    },
    out: {
      value: "DIR",
      help: "keep the study there: run.json, curve.jsonl, figures, report.html, every topic's run; a stopped one goes on",
    },
  },
  notes: [
    "The truth: the last coefficient such that at it and at all before it at least 75 % of the completions' sentences are possible, or " +
      "make sense by the labels. A pick is coherent when it is not above that; given away is the share of the usable range above the " +
      "pick. Both are means over topics with 95 % bootstrap intervals; off is the median distance in steps of the grid, lengths the " +
      "same in mean lengths of the residual stream.",
    "For a model without a grammar: run with --out DIR and read the texts in DIR/topics; fill in DIR/labels.json; run the same command " +
      "with --labels DIR/labels.json, which generates nothing again.",
    "JSON: { model, adapter, settings, topics: [{ name, last, unit, minimum, coherence, onTopic, metrics, textLoss }], methods: [{ " +
      "method, coherent, givenAway, distance, length, picks }], minimum, coarseThenFine, sensitivity }, the lists of a topic by coefficient.",
  ],
  examples: [
    "redline study --out studies/tiny-talk",
    "redline study models/tiny-talk/pairs/bridge.jsonl models/tiny-talk/pairs/pirate.jsonl --sensitivity",
    "redline study runs/bridge runs/pirate --labels labels.json",
  ],
  run,
}

async function run(context: Context): Promise<void> {
  const { options, terminal } = context
  const folders = await runFolders(options)
  const request = folders ? undefined : await readStudyRequest(options)
  const outcome = request ? await studyPairs(context, request) : await studyRuns(context, folders as readonly string[])
  if (request?.out !== undefined && !request.truth) {
    const file = await writeLabelsTemplate(request.out, request)
    return terminal.print(
      `The texts are in ${request.out}/topics, each topic's in its curve.jsonl; «redline report ${request.out}/topics/NAME» shows them.`,
      `Fill in ${file}, and run the same command with --labels ${file}: nothing is generated again.`,
    )
  }
  const { studied, sensitivity: rows, open } = outcome
  const result: StudyResult = {
    topics: studied.map(({ name, last, unit, minimum }) => ({ name, last, unit, minimum })),
    methods: compareMethods(studied),
    minimum: scoreMinimum(studied),
    coarseThenFine: replayAll(studied.map(({ curve }) => curve)),
    sensitivity: rows,
  }
  const out = options.text("out")
  if (out !== undefined && open) {
    await open.finish(result)
    await writeReport(out)
  }
  if (terminal.json) return terminal.document(documentOf(outcome, result))
  terminal.print(...studyLines(result))
}

function documentOf({ model, adapter, settings, studied }: StudyOutcome, result: StudyResult): Record<string, unknown> {
  const topics = result.topics.map((topic, i) => {
    const { curve } = studied[i] as StudiedTopic
    return {
      ...topic,
      coherence: curve.map(({ coherence }) => coherence),
      onTopic: curve.map(({ onTopic }) => onTopic),
      metrics: curve.map((point) => point.metrics),
      textLoss: curve.map(({ textLoss }) => textLoss),
    }
  })
  return { model, adapter, settings, ...result, topics }
}
