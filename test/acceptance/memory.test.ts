import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { expect, test } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))

test("loading a model of 1.25 GB takes less than 300 MB of host memory", async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["scripts/run.mjs", "test/helpers/load-large.ts"], { cwd: root })
  const { bytes, peak, onGpu, software } = JSON.parse(stdout) as Record<"bytes" | "peak" | "onGpu", number> & {
    software: boolean
  }
  expect(onGpu).toBeGreaterThanOrEqual(bytes)
  // A software adapter's buffers lie in the process's own memory.
  expect(peak - (software ? onGpu : 0)).toBeLessThan(300e6)
})
