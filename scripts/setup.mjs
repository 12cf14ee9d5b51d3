// Makes a fresh clone ready: dependencies, the bundles in dist/, and a WebGPU adapter. Needs Node.js and npm alone.
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")
const say = (text) => process.stderr.write(`setup: ${text}\n`)

class SetupError extends Error {}

function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], ...options })
  if (done.error || done.status !== 0) {
    throw new SetupError(`«${command} ${args.join(" ")}» failed (${done.error?.message ?? `exit ${done.status}`})`)
  }
  return done.stdout?.toString() ?? ""
}

const capture = (command, args) => run(command, args, { stdio: ["ignore", "pipe", "inherit"] })

const npm = process.platform === "win32" ? "npm.cmd" : "npm"

/** True unless every package that the lockfile wants here is installed in the version it names. */
function dependenciesAreStale() {
  const installedLock = join(root, "node_modules", ".package-lock.json")
  if (!existsSync(installedLock)) return true
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages
  const installed = JSON.parse(readFileSync(installedLock, "utf8")).packages
  return Object.entries(wanted).some(
    ([path, entry]) => path !== "" && !entry.optional && installed[path]?.version !== entry.version,
  )
}

/** The adapter that Dawn finds, asked for in a process of its own: a loader that failed once stays failed. */
function findAdapter() {
  const script = `
    import { create } from "webgpu"
    const gpu = (globalThis.gpu = create([]))
    const adapter = await gpu.requestAdapter()
    if (adapter && adapter.info.device !== "null-backend") console.log(adapter.info.description || adapter.info.device)
    process.exit(0)`
  const asked = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: root,
    env: { XDG_RUNTIME_DIR: "/tmp", ...process.env },
    encoding: "utf8",
  })
  return asked.status === 0 ? asked.stdout.trim() : ""
}

function osRelease() {
  if (!existsSync("/etc/os-release")) return {}
  const lines = readFileSync("/etc/os-release", "utf8").matchAll(/^(\w+)="?([^"\n]*)"?$/gm)
  return Object.fromEntries([...lines].map(([, key, value]) => [key, value]))
}

// Debian 12's own Mesa (22.3) lacks features that Dawn requires; its backports have a Mesa that does.
const BACKPORTS = "bookworm-backports"
const BACKPORTS_FILE = "/etc/apt/sources.list.d/redline-backports.list"

const packages = (codename) =>
  codename === "bookworm" ? ["-t", BACKPORTS, "libvulkan1", "mesa-vulkan-drivers"] : ["libvulkan1", "mesa-vulkan-drivers"]

/** The command that a person has to run, for machines where this script must not or cannot. */
function instructions({ ID, ID_LIKE = "", VERSION_CODENAME }) {
  if (ID === "debian" || ID === "ubuntu" || /debian|ubuntu/.test(ID_LIKE)) {
    const backports =
      VERSION_CODENAME === "bookworm"
        ? `echo 'deb http://ftp.debian.org/debian ${BACKPORTS} main' | sudo tee ${BACKPORTS_FILE} && `
        : ""
    return `${backports}sudo apt-get update && sudo apt-get install -y ${packages(VERSION_CODENAME).join(" ")}`
  }
  if (/fedora|rhel/.test(`${ID} ${ID_LIKE}`)) return "sudo dnf install vulkan-loader mesa-vulkan-drivers"
  if (/arch/.test(`${ID} ${ID_LIKE}`)) return "sudo pacman -S vulkan-icd-loader vulkan-swrast"
  if (/alpine/.test(`${ID} ${ID_LIKE}`)) return "(musl is not supported by Dawn's build: use a glibc system)"
  return "install a GPU driver with Vulkan 1.1, or Mesa's software driver (lavapipe) and the Vulkan loader"
}

function installMesa({ VERSION_CODENAME }) {
  const apt = (...args) => run("apt-get", ["-q", ...args], { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } })
  say("no WebGPU adapter: installing the Vulkan loader and Mesa's software driver with apt-get")
  apt("update")
  if (VERSION_CODENAME === "bookworm") {
    const known = capture("apt-get", ["indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"])
    const lines = known.split("\n").map((line) => line.split(" "))
    if (!lines.some(([codename]) => codename === BACKPORTS)) {
      const mirror = lines.find(([codename]) => codename === "bookworm")?.[1]
      if (!mirror) throw new SetupError("apt knows no mirror for bookworm, so none for its backports either")
      say(`adding ${BACKPORTS} in ${BACKPORTS_FILE}`)
      writeFileSync(BACKPORTS_FILE, `deb ${mirror} ${BACKPORTS} main\n`)
      apt("update")
    }
  }
  apt("install", "-y", "--no-install-recommends", ...packages(VERSION_CODENAME))
}

function ensureAdapter() {
  if (findAdapter() !== "") return
  const os = osRelease()
  const byApt = (os.ID === "debian" || os.ID === "ubuntu") && process.getuid?.() === 0
  const help = `To get one, run:\n  ${instructions(os)}\nand try again.`
  if (!byApt) throw new SetupError(`Dawn finds no WebGPU adapter on this machine. ${help}`)
  installMesa(os)
  if (findAdapter() === "") throw new SetupError(`Dawn finds no WebGPU adapter, though Mesa is installed. ${help}`)
}

try {
  const [major, minor] = process.versions.node.split(".").map(Number)
  if (major < 20 || (major === 20 && minor < 19)) throw new SetupError(`Node.js 20.19 or newer is needed, this is ${process.version}`)
  if (dependenciesAreStale()) {
    say("installing the dependencies (npm ci)")
    run(npm, ["ci", "--no-audit", "--no-fund"])
  } else {
    run(process.execPath, ["scripts/build.mjs", "--bundles"])
  }
  ensureAdapter()
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  say(error.message)
  process.exitCode = 1
}
