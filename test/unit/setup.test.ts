import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, dirname, join } from "node:path"
import { expect, test } from "vitest"
import { adapterHelp, backportsSource, isNodeTooOld, isStale, parseOsRelease } from "../../scripts/setup.mjs"

const wanted = {
  packages: {
    "": { version: "0.1.0" },
    "node_modules/a": { version: "1.0.0" },
    "node_modules/a/node_modules/b": { version: "2.0.0" },
    "node_modules/for-windows": { version: "3.0.0", optional: true },
  },
}
const a = { "node_modules/a": { version: "1.0.0" } }
const b = { "node_modules/a/node_modules/b": { version: "2.0.0" } }

test.each([
  ["everything is installed", { ...a, ...b }, false],
  ["a package more is installed", { ...a, ...b, "node_modules/c": { version: "1.0.0" } }, false],
  ["a package is missing", a, true],
  ["a package has another version", { ...a, "node_modules/a/node_modules/b": { version: "2.0.1" } }, true],
  ["nothing is installed", {}, true],
])("dependencies when %s: stale is %s", (_name, packages, stale) => {
  expect(isStale(wanted, { packages })).toBe(stale)
})

test.each([
  ["v20.18.3", true],
  ["v18.20.0", true],
  ["v20.19.0", false],
  ["v20.20.2", false],
  ["v22.0.0", false],
])("Node.js %s is too old: %s", (version, old) => {
  expect(isNodeTooOld(version)).toBe(old)
})

test("os-release is read with and without quotes", () => {
  const text = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n# a comment\nEMPTY=\n`
  expect(parseOsRelease(text)).toEqual({
    PRETTY_NAME: "Debian GNU/Linux 12 (bookworm)",
    ID: "debian",
    VERSION_CODENAME: "bookworm",
    EMPTY: "",
  })
})

test.each([
  [
    "bookworm http://mirror.example/debian/\nbookworm-security http://mirror.example/security/\n",
    "deb http://mirror.example/debian/ bookworm-backports main",
  ],
  ["", "deb http://ftp.debian.org/debian bookworm-backports main"],
  ["bookworm http://mirror.example/debian/\nbookworm-backports http://mirror.example/debian/\n", undefined],
])("of apt's targets %j, the missing source is %j", (targets, source) => {
  expect(backportsSource(targets)).toBe(source)
})

const source = "deb http://mirror.example/debian/ bookworm-backports main"
const bookworm = { ID: "debian", VERSION_CODENAME: "bookworm" }

// A machine, and the last line of what it is told: a command to paste, or a sentence where no command helps.
const MACHINES: readonly (readonly [name: string, machine: Partial<Parameters<typeof adapterHelp>[0]>, help: unknown])[] = [
  [
    "Debian 12",
    { os: bookworm, source },
    `  echo '${source}' | sudo tee /etc/apt/sources.list.d/redline-backports.list && sudo apt-get update && sudo apt-get install -y -t bookworm-backports libvulkan1 mesa-vulkan-drivers`,
  ],
  [
    "Debian 12 with backports",
    { os: bookworm },
    "  sudo apt-get update && sudo apt-get install -y -t bookworm-backports libvulkan1 mesa-vulkan-drivers",
  ],
  [
    "Ubuntu 24.04",
    { os: { ID: "ubuntu", ID_LIKE: "debian", VERSION_CODENAME: "noble" } },
    "  sudo apt-get update && sudo apt-get install -y libvulkan1 mesa-vulkan-drivers",
  ],
  [
    "Linux Mint as root",
    { os: { ID: "linuxmint", ID_LIKE: "ubuntu debian", VERSION_CODENAME: "xia" }, isRoot: true },
    "  apt-get update && apt-get install -y libvulkan1 mesa-vulkan-drivers",
  ],
  ["Fedora", { os: { ID: "fedora" } }, "  sudo dnf install -y vulkan-loader mesa-vulkan-drivers"],
  [
    "Rocky Linux as root",
    { os: { ID: "rocky", ID_LIKE: "rhel centos fedora" }, isRoot: true },
    "  dnf install -y vulkan-loader mesa-vulkan-drivers",
  ],
  ["Arch", { os: { ID: "arch" } }, "  sudo pacman -S --needed vulkan-icd-loader vulkan-swrast"],
  ["Alpine", { os: { ID: "alpine" } }, expect.stringContaining("glibc")],
  ["another Linux", { os: { ID: "nixos" } }, expect.stringContaining("lavapipe")],
  ["macOS", { platform: "darwin" }, expect.stringContaining("Metal")],
  ["Windows", { platform: "win32" }, expect.stringContaining("Direct3D 12")],
]

test.each(MACHINES)("%s is told what to do for an adapter", (_name, machine, help) => {
  const said = adapterHelp({ platform: "linux", os: {}, isRoot: false, source: undefined, ...machine })
  expect(said.split("\n").at(-1)).toEqual(help)
})

// «sudo» and the tools are stand-ins that note how they are called: the command must survive a real shell.
test("the command for Debian 12 runs as it is printed", () => {
  const scratch = mkdtempSync(join(tmpdir(), "redline-setup-"))
  const log = join(scratch, "log")
  for (const name of ["apt-get", "tee"]) {
    const path = join(scratch, "bin", name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `#!/bin/sh\necho "${name} $@" >>'${log}'\n${name === "tee" ? `cat >>'${log}'\n` : ""}`, { mode: 0o755 })
  }
  writeFileSync(join(scratch, "bin", "sudo"), `#!/bin/sh\nexec "$@"\n`, { mode: 0o755 })
  const help = adapterHelp({ platform: "linux", os: bookworm, isRoot: false, source })
  const env = { ...process.env, PATH: `${join(scratch, "bin")}${delimiter}${process.env["PATH"]}` }
  const done = spawnSync("sh", ["-c", `${help.split("\n").at(-1)}; cat '${log}'`], { env, encoding: "utf8" })
  rmSync(scratch, { recursive: true })
  expect(done.stdout.split("\n")).toEqual([
    "tee /etc/apt/sources.list.d/redline-backports.list",
    source,
    "apt-get update",
    "apt-get install -y -t bookworm-backports libvulkan1 mesa-vulkan-drivers",
    "",
  ])
})
