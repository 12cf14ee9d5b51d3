import { basename, join } from "node:path"
import { conceptOf, Grammar, InputError, Labels, parseCoefficients, parseRubric, type Rubric, type Run } from "../index.ts"
import {
  defaultRubric,
  embeddedInstructModel,
  embeddedModel,
  endpointAddress,
  type EndpointKind,
  type EndpointOptions,
  hashModel,
  KEY_VARIABLES,
  readRun,
  sha256,
} from "../node.ts"
import { readText } from "./files.ts"
import { count, didYouMean, type Options, quote } from "./options.ts"
import { shortPath } from "./session.ts"
import { isEmbedded } from "./study-request.ts"

const GRADERS = ["local", "anthropic", "openai"] as const
/** Options of the graders that are asked over a network. */
const REMOTE = ["grader-model", "base-url", "concurrency", "per-minute"] as const

/** A model of this machine, by its folder. */
export interface LocalGraderRequest {
  readonly grader: "local"
  readonly model: string
  readonly source: string
  readonly folder: string
  /** Whether it wrote the texts. */
  readonly own: boolean
}

export interface RemoteGraderRequest extends Omit<EndpointOptions, "key"> {
  readonly grader: EndpointKind
  readonly source: string
  /** Undefined where the environment has none. */
  readonly key: string | undefined
  readonly concurrency: number | undefined
  readonly perMinute: number | undefined
}

/** A grading as the command line asks for it, read and checked before anybody is asked. */
export interface GradeRequest {
  readonly folder: string
  readonly run: Run
  readonly rubric: Rubric
  readonly rubricSha256: string
  readonly concept: string
  /** Undefined for all. */
  readonly coefficients: readonly number[] | undefined
  readonly by: LocalGraderRequest | RemoteGraderRequest
  readonly labels: { readonly labels: Labels; readonly topic: string } | undefined
  readonly grammar: Grammar | undefined
}

export async function readGradeRequest(options: Options): Promise<GradeRequest> {
  const folder = options.operands[0] as string
  const run = await readRun(folder)
  const rubricFile = options.text("rubric") ?? defaultRubric
  const rubricText = await readText(rubricFile)
  const concept = conceptOption(options, folder, run)
  return {
    folder,
    run,
    rubric: parseRubric(rubricText, rubricFile),
    rubricSha256: sha256(Buffer.from(rubricText)),
    concept,
    coefficients: coefficientsOption(options),
    by: await graderOption(options, folder, run),
    labels: await labelsOption(options, run),
    grammar: isEmbedded(run.model.name) ? await embeddedGrammar() : undefined,
  }
}

function conceptOption(options: Options, folder: string, run: Run): string {
  const concept = options.text("concept") ?? conceptOf(run)
  if (concept !== undefined && concept.trim() !== "") return concept
  const expected = "to know what the vector steers to"
  throw new InputError({ where: folder, expected, found: "nothing that tells", todo: 'say it with --concept "…"' })
}

function coefficientsOption(options: Options): readonly number[] | undefined {
  const text = options.text("coefficients")
  if (text === undefined) return undefined
  const coefficients = parseCoefficients(text, "--coefficients")
  if (coefficients !== "auto") return coefficients
  throw new InputError({
    where: "--coefficients",
    expected: "coefficients of the run",
    found: "auto",
    todo: "leave it out for all",
  })
}

async function graderOption(options: Options, folder: string, run: Run): Promise<GradeRequest["by"]> {
  const grader = options.text("grader") ?? "local"
  if (grader === "local") return localOption(options, folder, run)
  if (grader === "anthropic" || grader === "openai") return remoteOption(options, grader)
  const meant = didYouMean(grader, GRADERS)
  throw new InputError({ where: "--grader", expected: `one of ${GRADERS.join(", ")}`, found: quote(grader), ...meant })
}

function remoteOption(options: Options, kind: EndpointKind): RemoteGraderRequest {
  const model = options.required("grader-model", "name the model that is to rate, as its service names it")
  // The services' own programs heed these: a key goes to no other address than theirs does.
  const given = options.text("base-url")
  const baseUrl = given ?? (process.env[BASE_URL_VARIABLES[kind]] || undefined)
  const source = endpointAddress({ kind, baseUrl }, given === undefined ? BASE_URL_VARIABLES[kind] : "--base-url")
  const key = process.env[KEY_VARIABLES[kind]]?.trim() || undefined
  if (key === undefined && !options.has("dry-run")) {
    const todo = `set it; where ${new URL(source).host} asks for no key, to any word`
    throw new InputError({ where: KEY_VARIABLES[kind], expected: "a key in this environment variable", found: "none", todo })
  }
  const [concurrency, perMinute] = [options.number("concurrency", count), options.number("per-minute", count)]
  return { grader: kind, kind, model, source, key, baseUrl, concurrency, perMinute }
}

const BASE_URL_VARIABLES: Readonly<Record<EndpointKind, string>> = {
  anthropic: "ANTHROPIC_BASE_URL",
  openai: "OPENAI_BASE_URL",
}

/** The model that wrote the run, where it comes with this package, or that of --model. */
async function localOption(options: Options, folder: string, run: Run): Promise<LocalGraderRequest> {
  const odd = REMOTE.find((name) => options.has(name))
  if (odd !== undefined)
    throw new InputError({ where: `--${odd}`, expected: "--grader anthropic or openai beside it", found: "the local grader" })
  const given = options.text("model")
  const path = given ?? [embeddedModel, embeddedInstructModel].find((own) => basename(own) === run.model.name)
  if (path === undefined) throw noModel(folder, run, "its folder is not recorded")
  const source = await hashModel(path)
  const own = source === run.model["sha256"]
  if (given === undefined && !own) throw noModel(folder, run, "the one of that name that comes with redline has other files")
  return { grader: "local", model: basename(path), source, folder: given ?? shortPath(path), own }
}

function noModel(folder: string, { model }: Run, found: string): InputError {
  const todo = "name a model that is to rate with --model DIR, or another --grader"
  return new InputError({ where: folder, expected: `the model ${model.name}, which wrote its texts`, found, todo })
}

async function labelsOption(options: Options, run: Run): Promise<GradeRequest["labels"]> {
  const file = options.text("labels")
  if (file === undefined) return undefined
  const labels = Labels.parse(await readText(file), file)
  const names = [run.name, conceptOf(run)]
  const topic = labels.topics.find((name) => names.includes(name))
  if (topic === undefined) {
    const expected = `labels for the topic ${[...new Set(names.filter((name) => name !== undefined))].join(" or ")}`
    throw new InputError({ where: file, expected, found: labels.topics.join(", ") || "none" })
  }
  for (const { coefficient, completions } of run.curve) {
    const label = labels.label(topic, coefficient)
    if (typeof label !== "object" || label === null || label.length === completions.length) continue
    const expected = `${completions.length} labels, one for each prompt`
    throw new InputError({ where: `${file}, ${topic}.${coefficient}`, expected, found: `${label.length}` })
  }
  return { labels, topic }
}

async function embeddedGrammar(): Promise<Grammar> {
  const file = join(embeddedModel, "grammar.json")
  return Grammar.parse(await readText(file), file)
}
