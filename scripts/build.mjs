// Bundles the three entry points with esbuild and, unless `--bundles` is given, writes their declarations with tsc.
import { spawnSync } from "node:child_process"
import { chmodSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const bundlesOnly = process.argv.includes("--bundles")
if (!bundlesOnly) rmSync(join(root, "dist"), { recursive: true, force: true })

const common = {
  absWorkingDir: root,
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2023",
  packages: "external",
  loader: { ".wgsl": "text" },
  sourcemap: true,
  logLevel: "warning",
}
// One build, so that the entry points share their chunks: an error thrown by one is `instanceof` the other's class.
await build({
  ...common,
  platform: "node",
  entryPoints: { index: "src/index.ts", node: "src/node.ts", cli: "src/cli/main.ts" },
})
chmodSync(join(root, "dist", "cli.js"), 0o755)

if (!bundlesOnly) {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc")
  const done = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" })
  process.exitCode = done.status ?? 1
}
