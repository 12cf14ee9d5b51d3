// Bundles the three entry points and the demo's page with esbuild and writes their declarations with tsc.
// --bundles: the bundles alone. --if-possible: nothing, and no failure, where the dev dependencies were left out.
import { spawnSync } from "node:child_process"
import { chmodSync, existsSync, readdirSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const dist = join(root, "dist")
const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
const bundlesOnly = process.argv.includes("--bundles")

if (process.argv.includes("--if-possible") && !existsSync(tsc)) {
  console.error("build: nothing built, the dev dependencies are not installed")
  process.exit()
}

const { build } = await import("esbuild")
const { buildPage } = await import("./page.mjs")
// One build, so that the entry points share their chunks: an error thrown by one is `instanceof` the other's class.
// No source maps: the bundles are not minified, and maps would double the package.
const built = await build({
  absWorkingDir: root,
  entryPoints: { index: "src/index.ts", node: "src/node.ts", cli: "src/cli/main.ts" },
  outdir: "dist",
  chunkNames: "chunk-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "es2023",
  packages: "external",
  loader: { ".wgsl": "text" },
  metafile: true,
  logOverride: { "ignored-bare-import": "silent" }, // of src/engine/gpu.ts, which holds declarations alone
  logLevel: "warning",
})
chmodSync(join(dist, "cli.js"), 0o755)
await buildPage(join(dist, "web"), { inBrowser: false })
removeAllBut(Object.keys(built.metafile.outputs).map((path) => path.slice("dist/".length)))

if (!bundlesOnly) {
  rmSync(join(dist, "types"), { recursive: true, force: true })
  const done = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" })
  process.exitCode = done.status ?? 1
}

/** Chunks have a hash in their name: those of earlier builds would stay for ever. */
function removeAllBut(names) {
  for (const name of readdirSync(dist))
    if (name !== "types" && name !== "web" && !names.includes(name)) rmSync(join(dist, name), { recursive: true })
}
