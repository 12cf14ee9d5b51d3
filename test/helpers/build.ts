import { spawnSync } from "node:child_process"
import { join } from "node:path"

/** Builds the bundles from the sources, once before all files: one that was read while another wrote it would be torn. */
export default function build(): void {
  const cwd = join(import.meta.dirname, "../..")
  const built = spawnSync(process.execPath, ["scripts/build.mjs", "--bundles"], { cwd, encoding: "utf8" })
  if (built.status !== 0) throw new Error(`the bundles cannot be built: ${built.stderr}`)
}
