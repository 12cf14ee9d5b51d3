import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"

const PATH = "/usr/bin/chromium"

/** Debian's Chromium, installed first where this runs as root and it is absent. Throws with what to do otherwise. */
export function chromiumPath(): string {
  const apt = (...args: string[]): boolean =>
    spawnSync("apt-get", ["-q", ...args], { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } }).status === 0
  if (!existsSync(PATH) && process.getuid?.() === 0 && apt("update")) apt("install", "-y", "--no-install-recommends", "chromium")
  if (existsSync(PATH)) return PATH
  throw new Error(`the reports are tested in a browser, and there is none at ${PATH}: run «sudo apt-get install chromium»`)
}
