/** Builds the demo as a static folder that any web server can host: npm run site -- --out DIR (site/ unless told). */
import { createHash } from "node:crypto"
import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises"
import { join, parse, resolve } from "node:path"
import { InputError } from "../src/index.ts"
import { hashModel } from "../src/node.ts"
import { HEADER, type SiteFile } from "../src/web/fetched-folder.ts"
import type { Site, SiteModel } from "../src/web/site.ts"
import { buildPage } from "./page.mjs"
import { parseScript, runScript } from "./program.ts"

const root = join(import.meta.dirname, "..")

/** What of a model's folder is the model: not its card, nor what its tests need. */
const IS_MODEL = /^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map)\.json$|\.(safetensors|jinja)$/

const MODELS = ["tiny-talk", "tiny-talk-instruct"]
const PAIRS = join(root, "models/tiny-talk/pairs")
/** What a site's folder holds. */
const SITE = new Set(["index.html", "page.js", "worker.js", "style.css", "icon.svg", "site.json", "models", "pairs"])
/** Of both, whose card tells why. */
const LAYERS = [3, 4]

await runScript("site", async () => {
  const out = resolve(parseScript("site", process.argv.slice(2), { out: "site" }).text("out") as string)
  await assertOwn(out)
  await buildPage(out, { inBrowser: true })
  const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string }
  const models: SiteModel[] = []
  for (const name of MODELS) models.push(await copyModel(name, out))
  const site: Site = { version, models, pairs: await copyAll(PAIRS, join(out, "pairs")) }
  await writeFile(join(out, "site.json"), JSON.stringify(site))
  process.stdout.write(`${out}: host it with any web server, over https or on localhost\n`)
})

/** @throws InputError for a folder that holds anything but a site: what is in it would be removed. */
async function assertOwn(out: string): Promise<void> {
  const names = await readdir(out).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return []
    const found = error.code === "ENOTDIR" ? "a file" : error.message
    throw new InputError({ where: `--out ${out}`, expected: "a folder", found }, { cause: error })
  })
  const others = names.filter((name) => !SITE.has(name))
  if (others.length === 0) return
  const expected = "a new or empty folder, or one of npm run site alone"
  throw new InputError({ where: `--out ${out}`, expected, found: `${others[0]} in it`, todo: "name another" })
}

async function copyModel(name: string, out: string): Promise<SiteModel> {
  const from = join(root, "models", name)
  const to = join(out, "models", name)
  const names = (await readdir(from)).filter((file) => IS_MODEL.test(file))
  await mkdir(to, { recursive: true })
  const files: Record<string, SiteFile> = {}
  for (const file of names) {
    const bytes = await readFile(join(from, file))
    await cp(join(from, file), join(to, file))
    files[file] = factsOf(bytes)
    if (!file.endsWith(".safetensors")) continue
    const header = bytes.subarray(0, 8 + Number(bytes.readBigUInt64LE(0)))
    await writeFile(join(to, file + HEADER), header)
    files[file + HEADER] = factsOf(header)
  }
  const [prompt = ""] = (await readFile(join(from, "prompts.txt"), "utf8")).split("\n")
  const vectors = await copyAll(join(from, "vectors"), join(to, "vectors"))
  return { name, prompt, layers: LAYERS, sha256: await hashModel(from), files, vectors }
}

/** Copies a folder and gives its files by their names without the ending. */
async function copyAll(from: string, to: string): Promise<Record<string, SiteFile>> {
  await cp(from, to, { recursive: true })
  const names = (await readdir(from)).toSorted()
  const facts = names.map(async (name) => [parse(name).name, factsOf(await readFile(join(from, name)))] as const)
  return Object.fromEntries(await Promise.all(facts))
}

function factsOf(bytes: Uint8Array): SiteFile {
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") }
}
