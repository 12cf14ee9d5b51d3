// Runs a TypeScript program of this repository: node scripts/run.mjs scripts/bench.ts [arguments]
// With --bundle before it, it is only bundled, into .cache/: for a machine without esbuild.
// Node.js 20 reads no TypeScript, and no Node.js reads .wgsl, so the program is bundled first.
import { renameSync } from "node:fs"
import { join, parse, resolve } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { build } from "esbuild"

const bundleOnly = process.argv[2] === "--bundle"
const [program, ...args] = process.argv.slice(bundleOnly ? 3 : 2)
if (program === undefined) throw new Error("run.mjs: expected a .ts file as first argument, found none")

const root = fileURLToPath(new URL("..", import.meta.url))
// One level below the root, as src/ and dist/ are: paths relative to a module stay right.
const bundle = join(root, ".cache", `${parse(program).name}.mjs`)
const unfinished = join(root, ".cache", `${parse(program).name}.${process.pid}.mjs`)
await build({
  entryPoints: [resolve(program)],
  outfile: unfinished,
  bundle: true,
  format: "esm",
  platform: "node",
  target: "es2023",
  packages: "external",
  loader: { ".wgsl": "text" },
  sourcemap: "inline",
  logOverride: { "ignored-bare-import": "silent" }, // of src/engine/gpu.ts, which holds declarations alone
  logLevel: "warning",
})
// Whole at once: the same program may run beside this one.
renameSync(unfinished, bundle)
if (!bundleOnly) {
  process.setSourceMapsEnabled(true)
  process.argv = [process.argv[0], resolve(program), ...args]
  await import(pathToFileURL(bundle).href)
}
