import { spawnSync } from "node:child_process"
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"

const root = join(import.meta.dirname, "../..")
const scratch = mkdtempSync(join(tmpdir(), "redline-style-"))

const imports = "eslint(no-restricted-imports)"

// A file, what it says, and the rule that must object (none: the file is fine).
const CASES: readonly (readonly [file: string, source: string, rule?: string])[] = [
  ["src/kernels/up.ts", `export { x } from "../engine/fine.ts"`, imports],
  ["src/kernels/package.ts", `export { z } from "zod"`, imports],
  ["src/kernels/fine.ts", `export { x } from "./other.ts"`],
  ["src/engine/up.ts", `export { x } from "../steering/fine.ts"`, imports],
  ["src/engine/deep/up.ts", `export { x } from "../../steering/fine.ts"`, imports],
  ["src/engine/type.ts", `import type { X } from "../cli/fine.ts"\nexport type Y = X`, imports],
  ["src/engine/entry.ts", `export { x } from "../node.ts"`, imports],
  ["src/engine/builtin.ts", `export { readFileSync } from "node:fs"`, imports],
  ["src/engine/dawn.ts", `export { create } from "webgpu"`, imports],
  ["src/engine/global.ts", `export const home: unknown = process.env["HOME"]`, "eslint(no-restricted-globals)"],
  ["src/engine/print.ts", `console.log("hello")\nexport const x: number = 1`, "eslint(no-console)"],
  [
    "src/engine/fine.ts",
    `export { z } from "zod"\nexport { x } from "../kernels/fine.ts"\nexport { y } from "./weights/node.ts"`,
  ],
  ["src/steering/down.ts", `export { x } from "../kernels/fine.ts"`, imports],
  ["src/steering/up.ts", `export { x } from "../cli/fine.ts"`, imports],
  ["src/steering/builtin.ts", `export { join } from "node:path"`, imports],
  ["src/steering/fine.ts", `export { x } from "../engine/fine.ts"`],
  ["src/web/down.ts", `export { x } from "../kernels/fine.ts"`, imports],
  ["src/web/page/up.ts", `export { x } from "../../node/fine.ts"`, imports],
  ["src/web/builtin.ts", `export { join } from "node:path"`, imports],
  ["src/web/fine.ts", `export { x } from "../engine/fine.ts"\nexport { x as y } from "../steering/fine.ts"`],
  ["src/steering/web.ts", `export { x } from "../web/fine.ts"`, imports],
  ["src/index.ts", `export { x } from "./node/fine.ts"`, imports],
  ["src/node/up.ts", `export { x } from "../cli/fine.ts"`, imports],
  [
    "src/node/fine.ts",
    `export { readFileSync } from "node:fs"\nexport { x } from "../engine/fine.ts"\nexport { x as y } from "../web/fine.ts"`,
  ],
  ["src/cli/fine.ts", `export { x } from "../kernels/fine.ts"\nconsole.log(process.argv)`],
  [
    "src/floating.ts",
    `async function f(): Promise<void> {}\nf()\nexport const g: unknown = f`,
    "typescript(no-floating-promises)",
  ],
  ["src/misused.ts", `export const f = (p: Promise<boolean>): number => (p ? 1 : 2)`, "typescript(no-misused-promises)"],
  ["src/any.ts", `export const x: any = 1`, "typescript(no-explicit-any)"],
  ["src/equal.ts", `export const f = (x: number): boolean => x == 1`, "eslint(eqeqeq)"],
  ["src/unused.ts", `const x = 1\nexport const y: number = 2`, "eslint(no-unused-vars)"],
  ["src/type-import.ts", `import { X } from "./engine/type.ts"\nexport type Z = X`, "typescript(consistent-type-imports)"],
]

interface Diagnostic {
  readonly filename: string
  readonly code: string
}
let found: ReadonlyMap<string, readonly string[]>

beforeAll(() => {
  for (const name of [".oxlintrc.json", "tsconfig.json"]) copyFileSync(join(root, name), join(scratch, name))
  symlinkSync(join(root, "node_modules"), join(scratch, "node_modules"), "junction")
  for (const [file, source] of CASES) {
    mkdirSync(dirname(join(scratch, file)), { recursive: true })
    writeFileSync(join(scratch, file), `${source}\n`)
  }
  const oxlint = join(root, "node_modules/oxlint/bin/oxlint")
  const { stdout } = spawnSync(process.execPath, [oxlint, "--format=json", "src"], { cwd: scratch, encoding: "utf8" })
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: readonly Diagnostic[] }
  const codes = new Map<string, string[]>()
  for (const { filename, code } of diagnostics) codes.set(filename, [...(codes.get(filename) ?? []), code])
  found = codes
})

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

test.for(CASES)("the linter judges %s", ([file, , rule]) => {
  expect(found.get(file) ?? []).toEqual(rule === undefined ? [] : [rule])
})
