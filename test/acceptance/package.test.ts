import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join, relative } from "node:path"
import { build } from "esbuild"
import { afterAll, beforeAll, expect, test } from "vitest"

const root = join(import.meta.dirname, "../..")
const modules = join(root, "node_modules")
const scratch = mkdtempSync(join(tmpdir(), "redline-package-"))
const consumer = join(scratch, "consumer")
const installed = join(consumer, "node_modules/redline")
const tarball = join(scratch, "redline-0.1.0.tgz")

const PROGRAM = `
import { findRedline, InputError, trainVector } from "redline"
import { loadModel, openDevice } from "redline/node"

const device = await openDevice({ debug: true })
const model = await loadModel("models/tiny-talk", { device })
const vector = await trainVector(model, [{ positive: "I am happy", negative: "I am sad" }], { method: "mean" })
const found = await findRedline(model, vector, { prompt: "I am talking about" })
export const max: number | null = found.max
export const where = (error: unknown): string => (error instanceof InputError ? error.fault.where : "")
// @ts-expect-error the declarations are real, not any
export const wrong: number = device.facts.vendor
`

function run(cwd: string, command: string, ...args: string[]): string {
  const done = spawnSync(command, args, { cwd, encoding: "utf8" })
  if (done.status !== 0) throw new Error(`${command} ${args.join(" ")}: exit ${done.status}\n${done.stdout}${done.stderr}`)
  return done.stdout
}

// The package is made of a copy of the working tree: the bundles that other tests run stay as they are.
beforeAll(() => {
  const source = join(scratch, "source")
  const left = new Set([".git", ".cache", "node_modules", "dist"])
  cpSync(root, source, { recursive: true, filter: (path) => !left.has(basename(path)) })
  symlinkSync(modules, join(source, "node_modules"), "junction")
  run(source, "npm", "pack", "--silent", "--pack-destination", scratch)

  mkdirSync(consumer)
  writeFileSync(join(consumer, "package.json"), `{ "type": "module", "private": true }`)
  writeFileSync(join(consumer, "program.ts"), PROGRAM)
  run(consumer, "npm", "install", "--prefer-offline", "--no-audit", "--no-fund", tarball)
}, 120_000)

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

test("the package holds the bundles, the declarations, the embedded model and the documents, and nothing else", () => {
  const entries = readdirSync(installed, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => relative(installed, join(entry.parentPath, entry.name)))
  const expected =
    /^(dist\/(index|node|cli|chunk-\w+)\.js|dist\/web\/(index\.html|icon\.svg|page\.js|style\.css)|dist\/types\/.+\.d\.ts|models\/tiny-talk(-instruct|-sae)?\/.+|rubrics\/axbench\.md|docs\/[\w-]+\.(md|svg|png)|package\.json|[A-Z]+(\.md)?)$/
  expect(files.filter((file) => !expected.test(file))).toEqual([])
  expect(files.filter((file) => !file.includes("/")).toSorted()).toEqual([
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "package.json",
  ])
  expect(files).toEqual(
    expect.arrayContaining([
      "dist/cli.js",
      "dist/types/index.d.ts",
      "dist/types/node.d.ts",
      "models/tiny-talk/model.safetensors",
      "models/tiny-talk-instruct/model.safetensors",
      "rubrics/axbench.md",
    ]),
  )
})

test("both entry points load in Node.js and share their error classes", () => {
  const script = `
    import { InputError } from "redline"
    import { openDevice } from "redline/node"
    const error = await openDevice({ adapter: "no adapter has this name" }).catch((thrown) => thrown)
    console.log(error instanceof InputError)
    process.exit()`
  expect(run(consumer, process.execPath, "--input-type=module", "--eval", script)).toBe("true\n")
})

test("the entry point «redline» needs nothing of Node.js", async () => {
  const stdin = { contents: `export * from "redline"`, resolveDir: consumer }
  const bundled = await build({ stdin, bundle: true, format: "esm", platform: "browser", write: false, logLevel: "silent" })
  expect(bundled.outputFiles).toHaveLength(1)
})

test("the command starts", () => {
  expect(run(consumer, join(consumer, "node_modules/.bin/redline"), "--help")).toContain("redline find")
})

test.each([
  ["nodenext without the DOM library", { module: "nodenext", lib: ["es2023"], types: ["node"] }],
  ["bundler with the DOM library", { module: "preserve", moduleResolution: "bundler", lib: ["es2023", "dom"], types: [] }],
])("a program type-checks under %s", (_name, options) => {
  const compilerOptions = { ...options, target: "es2022", strict: true, noEmit: true, typeRoots: [join(modules, "@types")] }
  writeFileSync(join(consumer, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["program.ts"] }))
  expect(run(consumer, process.execPath, join(modules, "typescript/bin/tsc"))).toBe("")
})

test("publint and are-the-types-wrong find nothing", () => {
  expect(run(scratch, process.execPath, join(modules, "publint/src/cli.js"), tarball, "--strict")).toContain("All good!")
  const attw = join(modules, "@arethetypeswrong/cli/dist/index.js")
  expect(run(scratch, process.execPath, attw, tarball, "--profile", "esm-only", "--no-emoji", "--format", "ascii")).toContain(
    "bundler: OK",
  )
})
