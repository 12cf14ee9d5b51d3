import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { afterAll, expect, test } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
const scratch = `${root}.cache/docs`
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** The programs of a page with what it says that they print; a program that prints nothing fixed has none. */
function examples(page: string): { code: string; output: string | undefined }[] {
  const blocks = [...readFileSync(`${root}${page}`, "utf8").matchAll(/^```(ts|text)\n(.*?)^```$/gms)]
  return blocks.flatMap(([, kind, code = ""], i) => {
    const next = blocks[i + 1]
    return kind === "ts" ? [{ code, output: next?.[1] === "text" ? next[2] : undefined }] : []
  })
}

const pages = ["README.md", ...readdirSync(`${root}docs`).flatMap((file) => (file.endsWith(".md") ? [`docs/${file}`] : []))]
const cases = pages.flatMap((page) => examples(page).map((example, i) => ({ page, name: `${page} ${i + 1}`, ...example })))

test.each(cases)("$name runs and prints what the page says", ({ code, output }) => {
  mkdirSync(scratch, { recursive: true })
  const here = code.replaceAll('"redline/node"', '"../../src/node.ts"').replaceAll('"redline"', '"../../src/index.ts"')
  writeFileSync(`${scratch}/example.ts`, here)
  const done = spawnSync(process.execPath, ["scripts/run.mjs", ".cache/docs/example.ts"], { cwd: root, encoding: "utf8" })
  expect(done.stderr.replace(/^Warning: max.*$\n?/gm, "")).toBe("")
  if (output === undefined) expect(done.stdout).not.toBe("")
  else expect(done.stdout).toBe(output)
})
