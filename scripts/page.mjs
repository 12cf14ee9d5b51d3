// The demo's page: what a browser loads, minified, into one folder.
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { build } from "esbuild"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")

/**
 * Writes index.html, page.js, style.css and icon.svg into `out`, and worker.js where the engine runs in the browser. What else
 * is in the folder is removed.
 */
export async function buildPage(out, { inBrowser }) {
  const web = "src/web"
  const built = await build({
    absWorkingDir: root,
    entryPoints: {
      page: `${web}/page/main.tsx`,
      style: `${web}/page/style.css`,
      ...(inBrowser && { worker: `${web}/worker.ts` }),
    },
    outdir: out,
    bundle: true,
    minify: true,
    format: "iife",
    platform: "browser",
    target: ["es2023", "chrome119", "firefox141", "safari26"],
    jsx: "automatic",
    jsxImportSource: "preact",
    define: { IN_BROWSER: `${inBrowser}` },
    // Disposable classes are made of it, and not all browsers with WebGPU have it: esbuild's «using» looks for this one then.
    banner: { js: 'Symbol.dispose ??= Symbol.for("Symbol.dispose");Symbol.asyncDispose ??= Symbol.for("Symbol.asyncDispose");' },
    loader: { ".wgsl": "text" },
    write: false,
    logOverride: { "ignored-bare-import": "silent" }, // of src/engine/gpu.ts, which holds declarations alone
    logLevel: "warning",
  })
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  for (const { path, contents } of built.outputFiles) writeFileSync(join(out, basename(path)), contents)
  for (const name of ["index.html", "icon.svg"]) copyFileSync(join(root, web, "page", name), join(out, name))
}
