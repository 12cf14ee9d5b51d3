// Makes a fresh clone ready: dependencies, the bundles in dist/, and a WebGPU adapter. Needs Node.js and npm alone.
import { spawnSync } from "node:child_process"
import { existsSync, readFileSync, realpathSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")

const OLDEST_NODE = [20, 19]
const LOADER_AND_MESA = ["libvulkan1", "mesa-vulkan-drivers"]
// Dawn refuses Debian 12's own Mesa (22.3): it lacks shader features that WebGPU requires. Its backports have one that serves.
const BACKPORTS = "bookworm-backports"
const BACKPORTS_FILE = "/etc/apt/sources.list.d/redline-backports.list"

class SetupError extends Error {}

/** True unless every package that the lockfile wants is installed in the version it names. Optional ones depend on the platform. */
export function isStale(wanted, installed) {
  return Object.entries(wanted.packages).some(
    ([path, { optional, version }]) => path !== "" && !optional && installed.packages[path]?.version !== version,
  )
}

export function isNodeTooOld(version) {
  const [major, minor] = version.replace("v", "").split(".").map(Number)
  return major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])
}

/** The fields of /etc/os-release, or none where there is no such file. */
export function parseOsRelease(text) {
  return Object.fromEntries([...text.matchAll(/^(\w+)="?([^"\n]*)"?$/gm)].map(([, key, value]) => [key, value]))
}

/** The line that apt needs for Debian 12's backports, from lines «suite address» of what it knows; none when it has them. */
export function backportsSource(aptTargets) {
  const targets = aptTargets.split("\n").map((line) => line.split(" "))
  if (targets.some(([suite]) => suite === BACKPORTS)) return undefined
  const mirror = targets.find(([suite]) => suite === "bookworm")?.[1] ?? "http://ftp.debian.org/debian"
  return `deb ${mirror} ${BACKPORTS} main`
}

/** What a person has to do to get an adapter. `source` is the line that apt still needs, if any. */
export function adapterHelp({ platform, os, isRoot, source }) {
  const sudo = isRoot ? "" : "sudo "
  const family = `${os.ID} ${os.ID_LIKE ?? ""}`
  const command = (text) => `Run this, then try again:\n  ${text}`
  if (platform === "darwin")
    return "Dawn uses Metal: run on a Mac whose GPU is visible to this process (a virtual machine may hide it)."
  if (platform === "win32") return "Dawn uses Direct3D 12: install the GPU vendor's current driver."
  if (/debian|ubuntu/.test(family)) {
    const addSource = source ? `echo '${source}' | ${sudo}tee ${BACKPORTS_FILE} && ` : ""
    const install = ["apt-get", "install", "-y", ...aptPackages(os)].join(" ")
    return command(`${addSource}${sudo}apt-get update && ${sudo}${install}`)
  }
  if (/fedora|rhel/.test(family)) return command(`${sudo}dnf install -y vulkan-loader mesa-vulkan-drivers`)
  if (/arch/.test(family)) return command(`${sudo}pacman -S --needed vulkan-icd-loader vulkan-swrast`)
  if (/alpine/.test(family)) return "Dawn is built for glibc, which Alpine has not: use another distribution."
  return "Install the Vulkan loader and either the GPU vendor's driver or Mesa's software driver (lavapipe), newer than 22.3."
}

function aptPackages(os) {
  return os.VERSION_CODENAME === "bookworm" ? ["-t", BACKPORTS, ...LOADER_AND_MESA] : LOADER_AND_MESA
}

const say = (text) => process.stderr.write(`setup: ${text}\n`)

/** Runs a command with its output on stderr: stdout is the demo's. */
function run(command, args, options = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], ...options })
  if (done.error || done.status !== 0) {
    throw new SetupError(`«${command} ${args.join(" ")}» failed (${done.error?.message ?? `exit ${done.status}`})`)
  }
}

function installDependencies() {
  const installed = join(root, "node_modules", ".package-lock.json")
  const read = (path) => JSON.parse(readFileSync(path, "utf8"))
  if (existsSync(installed) && !isStale(read(join(root, "package-lock.json")), read(installed))) return
  say("installing the dependencies (npm ci)")
  // npm is a .cmd on Windows, which only a shell starts.
  run("npm", ["ci", "--include=dev", "--no-audit", "--no-fund"], { shell: process.platform === "win32" })
}

/** True when Dawn finds an adapter. Asks in a process of its own: a Vulkan loader that failed once stays failed. */
function hasAdapter() {
  const script = `
    import { create } from "webgpu"
    const gpu = (globalThis.gpu = create([]))
    const adapter = await gpu.requestAdapter()
    console.log(adapter !== null && adapter.info.device !== "null-backend")
    process.exit()`
  const asked = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { cwd: root, encoding: "utf8" })
  if (asked.status !== 0) throw new SetupError(`Dawn does not start on this machine:\n${asked.stderr.trim()}`)
  return asked.stdout.includes("true")
}

function missingSource(os) {
  if (os.VERSION_CODENAME !== "bookworm") return undefined
  const args = ["indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"]
  return backportsSource(spawnSync("apt-get", args, { encoding: "utf8" }).stdout ?? "")
}

function installMesa(os) {
  say("no WebGPU adapter here: installing the Vulkan loader and Mesa's software driver with apt-get")
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  const update = () => run("apt-get", ["-q", "update"], { env })
  update() // apt tells its mirrors only after it has updated once
  const source = missingSource(os)
  if (source) {
    say(`adding «${source}» in ${BACKPORTS_FILE}`)
    writeFileSync(BACKPORTS_FILE, `${source}\n`)
    update()
  }
  run("apt-get", ["-q", "install", "-y", "--no-install-recommends", ...aptPackages(os)], { env })
}

function ensureAdapter() {
  if (hasAdapter()) return
  const os = existsSync("/etc/os-release") ? parseOsRelease(readFileSync("/etc/os-release", "utf8")) : {}
  const isRoot = process.getuid?.() === 0
  if (!isRoot || (os.ID !== "debian" && os.ID !== "ubuntu")) {
    const help = adapterHelp({ platform: process.platform, os, isRoot, source: missingSource(os) })
    throw new SetupError(`Dawn finds no WebGPU adapter on this machine. ${help}`)
  }
  installMesa(os)
  if (!hasAdapter()) {
    throw new SetupError(
      "Dawn finds no WebGPU adapter though Mesa is installed: it needs Mesa newer than 22.3, or a GPU's driver",
    )
  }
}

function main() {
  try {
    if (isNodeTooOld(process.version)) {
      throw new SetupError(`expected Node.js ${OLDEST_NODE.join(".")} or newer, found ${process.version}`)
    }
    installDependencies()
    run(process.execPath, ["scripts/build.mjs", "--bundles"])
    ensureAdapter()
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    say(error.message)
    process.exitCode = 1
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main()
