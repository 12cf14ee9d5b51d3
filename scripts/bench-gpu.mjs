// Measures everything on a GPU host, in runs of under 10 minutes each, in the project's root:
//   node scripts/bench-gpu.mjs build          here: bundles what the host runs, where it has no esbuild (into .cache/)
//   node scripts/bench-gpu.mjs run1           the card, the embedded model beside float64, checkpoints of 1B and 8B, load, decode, prefill, search
//   node scripts/bench-gpu.mjs run2           Hugging Face on the same checkpoints, the search beside it, both engines' logits
//   node scripts/bench-gpu.mjs run3           llama.cpp beside Redline, where there is an installation of node-llama-cpp
// «build --node-llama-cpp DIR» packs what its Vulkan binary needs into .cache/, of DIR, where «npm install node-llama-cpp» ran. Its
// CUDA binary is too large to travel: --node-llama-cpp DIR --peer-gpu cuda takes one that the host has.
// Options: --out DIR (benchmarks), --name NAME in the files' names (gpu), --models DIR for the checkpoints (the system's
// temporary folder), --shapes 1b,8b, --minutes 9.5. PYTHON names the interpreter where it is not python3. What is missing there is
// said in a line and left out.
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"

const root = fileURLToPath(new URL("..", import.meta.url))
const PROGRAMS = ["bench", "make-checkpoint"]
const COEFFICIENTS = ["--coefficients", "64", "--tokens", "32", "--prompt-tokens", "8"]
/** The paths by matrix units, which are left out with their reason where there are none. */
const MATRIX = ["matrix", "matrix-exact"]
const IDS = "1,17,290,33,418,5,77,260,140,9,311,64"
/** What of node-llama-cpp travels: all but llama.cpp's source and the binaries for other computers. */
const PACKED = join(root, ".cache", "node-llama-cpp.tgz")
const LEFT_OUT = [
  "node_modules/node-llama-cpp/llama/gitRelease.bundle",
  "node_modules/@node-llama-cpp/linux-arm*",
  "node_modules/@node-llama-cpp/linux-x64",
  "node_modules/@node-llama-cpp/linux-x64-cuda*",
]
const PEER = join(root, "scripts/hf_baseline.py")
const python = process.env.PYTHON ?? "python3"

const started = Date.now()
const { command, settings } = parse()
const deadline = performance.now() + Number(settings.minutes) * 60_000
const shapes = settings.shapes.split(",")
const file = (what) => join(settings.out, `${what}-${settings.name}.json`)
const folder = (shape) => join(settings.models, shape)

if (command === "build") {
  for (const name of PROGRAMS) start(process.execPath, ["scripts/run.mjs", "--bundle", `scripts/${name}.ts`])
  if (settings["node-llama-cpp"]) pack(settings["node-llama-cpp"])
} else {
  for (const each of [settings.out, settings.models]) mkdirSync(each, { recursive: true })
  if (command === "run1") run1()
  else if (command === "run2") run2()
  else run3()
  printTable()
}

function parse() {
  const fail = (found) => {
    process.stderr.write(
      `bench-gpu: expected build, run1, run2 or run3 and its options, found ${found}; see scripts/bench-gpu.mjs\n`,
    )
    process.exit(2)
  }
  const text = (value) => ({ type: "string", default: value })
  const options = {
    "out": text("benchmarks"),
    "name": text("gpu"),
    "models": text(join(tmpdir(), "redline-models")),
    "shapes": text("1b,8b"),
    "minutes": text("9.5"),
    "node-llama-cpp": { type: "string" },
    "peer-gpu": text("vulkan"),
  }
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const known = positionals.length === 1 && ["build", "run1", "run2", "run3"].includes(positionals[0])
    if (!known) fail(`«${positionals.join(" ")}»`)
    if (!(Number(values.minutes) > 0)) fail(`--minutes ${values.minutes}`)
    return { command: positionals[0], settings: values }
  } catch (error) {
    return fail(error.message.split(". ")[0])
  }
}

function run1() {
  bench("card", ["--out", file("card")], 120)
  // No time is worth telling of what computes wrong: the embedded model beside float64, by every path.
  for (const matmul of ["f32", ...MATRIX]) bench("accuracy", ["--matmul", matmul, "--out", file(`accuracy-${matmul}`)], 60)
  for (const shape of shapes) if (!made(shape)) make(shape)
  for (const shape of shapes.filter(hasModel)) {
    measure("load", shape, ["--repeats", "2"])
    measure("decode", shape, ["--rows", "1,8,64", "--repeats", "3"])
    measure("prefill", shape, ["--lengths", "512,2048", "--repeats", "3"])
    measure("search", shape, [...COEFFICIENTS, "--singles", "8", "--repeats", "2"])
    for (const matmul of MATRIX) {
      measure("agreement", shape, ["--matmul", matmul], `-${matmul}`)
      measure("search", shape, [...COEFFICIENTS, "--singles", "1", "--repeats", "2", "--matmul", matmul], `-${matmul}`)
    }
    measure("decode", shape, ["--rows", "16,64", "--repeats", "3", "--matmul", "matrix"], "-matrix")
    measure("prefill", shape, ["--lengths", "512,2048", "--repeats", "3", "--matmul", "matrix"], "-matrix")
  }
}

function run2() {
  bench("card", ["--out", file("card")], 120) // the machine may be another than the first run's
  for (const shape of shapes) if (!made(shape)) make(shape)
  const present = shapes.filter(hasModel)
  const peer = huggingFace()
  for (const shape of present) {
    measure("search", shape, [...COEFFICIENTS, "--singles", "8", "--repeats", "2"])
    if (!peer) continue
    sweep(shape)
    compareLogits(shape)
  }
}

function run3() {
  const installed = settings["node-llama-cpp"] ?? unpack()
  if (installed === undefined) return
  for (const shape of shapes) if (!made(shape)) make(shape)
  // Its products round their inputs too, so that it may choose another of two tokens that are as good as equal.
  const how = ["--precisions", "stored", "--tolerance", "0.2", "--threads", "8", "--singles", "8", "--repeats", "3"]
  const peer = ["--node-llama-cpp", installed, "--gpu", settings["peer-gpu"]]
  for (const shape of shapes.filter(hasModel)) measure("peers", shape, [...how, ...peer])
}

function pack(installed) {
  const exclude = LEFT_OUT.map((path) => `--exclude=${path}`)
  if (start("tar", ["-czf", PACKED, "-C", installed, ...exclude, "node_modules"]) === undefined) return
  process.stdout.write(`${PACKED}: ${(statSync(PACKED).size / 2 ** 20).toFixed(1)} MiB\n`)
}

/** Where node-llama-cpp lies now that was packed before; says why there is none. */
function unpack() {
  if (!existsSync(PACKED)) {
    return skip(
      "llama.cpp",
      `not measured: no ${PACKED}: run «node scripts/bench-gpu.mjs build --node-llama-cpp DIR» and bring it along`,
    )
  }
  const into = join(settings.models, "node-llama-cpp")
  mkdirSync(into, { recursive: true })
  return start("tar", ["-xzf", PACKED, "-C", into], 60) === undefined ? undefined : into
}

/** Whether Python can run the peer here; says why not. */
function huggingFace() {
  const check = "import torch, transformers; assert torch.cuda.is_available(), 'torch sees no CUDA device'"
  const { status, stderr, error } = spawnSync(python, ["-c", check], { encoding: "utf8", timeout: 120_000 })
  if (status === 0) return true
  skip("Hugging Face", error ? error.message : (stderr.trim().split("\n").at(-1) ?? `${python} exits with ${status}`))
  return false
}

function sweep(shape) {
  const args = [PEER, "sweep", folder(shape), ...COEFFICIENTS]
  const printed = start(python, args, 300)
  if (printed === undefined) return
  const runs = printed.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []))
  const versions = printed.split("\n").find((line) => line.startsWith("torch"))
  const report = { benchmark: "hf-sweep", command: [python, ...args].join(" "), versions, model: shape, runs }
  writeFileSync(file(`hf-sweep-${shape}`), `${JSON.stringify(report, null, 2)}\n`)
}

/** The last logits of one prompt, plain and steered by the vector that torch draws from seed 0. */
function compareLogits(shape) {
  const { hidden_size: width, num_hidden_layers: layers } = JSON.parse(readFileSync(join(folder(shape), "config.json"), "utf8"))
  const layer = `${Math.floor(layers / 2)}`
  const vector = join(settings.models, `vector-${shape}.json`)
  const draw = `import json, torch
v = torch.randn(${width}, generator=torch.Generator('cpu').manual_seed(0))
json.dump((v / v.norm()).tolist(), open(${JSON.stringify(vector)}, 'w'))`
  if (start(python, ["-c", draw], 60) === undefined) return
  const steered = ["--layer", layer, "--coefficient", "4"]
  const ways = [
    { name: "logits", hf: [], own: [] },
    { name: "logits-steered", hf: [...steered, "--seed", "0"], own: ["--vector", vector, ...steered] },
  ]
  for (const { name, hf, own } of ways) {
    const reference = join(settings.models, `hf-${name}-${shape}.json`)
    if (start(python, [PEER, "logits", folder(shape), "--ids", IDS, "--out", reference, ...hf], 200) === undefined) continue
    bench("logits", ["--model", folder(shape), "--against", reference, ...own, "--out", file(`${name}-${shape}`)], 120)
  }
}

function measure(name, shape, args, how = "") {
  const card = existsSync(file("card")) ? ["--card", file("card")] : []
  bench(name, ["--model", folder(shape), ...args, ...card, "--out", file(`${name}-${shape}${how}`)], 240)
}

function bench(name, args, seconds) {
  return program("bench", [name, ...args], seconds)
}

function made(shape) {
  return existsSync(join(folder(shape), "config.json"))
}

function make(shape) {
  // What an interrupted run left: config.json comes last, so none of it is a model.
  const left = existsSync(folder(shape)) ? readdirSync(folder(shape)).filter((name) => /^model[-.].*safetensors/.test(name)) : []
  for (const name of left) rmSync(join(folder(shape), name))
  program("make-checkpoint", [shape, folder(shape)], 180)
}

function hasModel(shape) {
  return made(shape) || skip(shape, `no checkpoint in ${folder(shape)}`) === true
}

/** Runs a program of scripts/, bundled here or before. */
function program(name, args, seconds) {
  const bundle = join(root, ".cache", `${name}.mjs`)
  if (existsSync(join(root, "node_modules/esbuild")))
    return start(process.execPath, ["scripts/run.mjs", `scripts/${name}.ts`, ...args], seconds)
  if (existsSync(bundle)) return start(process.execPath, [bundle, ...args], seconds)
  return skip(
    name,
    `neither esbuild nor ${bundle}: run «node scripts/bench-gpu.mjs build» where esbuild is, and bring .cache/ along`,
  )
}

/** Runs a command within the time that is left; what it printed, or undefined after a line that says why there is nothing. */
function start(executable, args, seconds = 600) {
  const shown = [executable, ...args].join(" ").split("\n")[0]
  const left = Math.floor((deadline - performance.now()) / 1000)
  if (left < 5) return skip(shown, "no time is left in this run")
  process.stdout.write(`\n$ ${shown}\n`)
  const timeout = Math.min(seconds, left) * 1000
  const begun = performance.now()
  const { status, stdout, stderr, error } = spawnSync(executable, args, {
    cwd: root,
    encoding: "utf8",
    timeout,
    maxBuffer: 2 ** 28,
  })
  process.stdout.write(stdout ?? "")
  if (status === 0) {
    process.stdout.write(`(${((performance.now() - begun) / 1000).toFixed(0)} s)\n`)
    return stdout
  }
  const late = error?.code === "ETIMEDOUT" ? `it took more than ${timeout / 1000} s` : undefined
  return skip(shown, late ?? error?.message ?? (stderr.trim().split("\n").slice(-3).join(" | ") || `exit code ${status}`))
}

function skip(what, why) {
  process.stdout.write(`left out: ${what}: ${why}\n`)
  return undefined
}

function printTable() {
  const lines = shapes.flatMap((shape) => {
    const read = (what) => {
      const path = file(`${what}-${shape}`)
      if (!existsSync(path)) return undefined
      return { ...JSON.parse(readFileSync(path, "utf8")), when: statSync(path).mtimeMs < started ? " (of an earlier run)" : "" }
    }
    const own = ["", ...MATRIX.map((matmul) => `-${matmul}`)].flatMap((how) => [...ownLines(read, how)])
    return [...own, ...baselineLines(read), ...peerLines(read)].map((line) => `${shape.padEnd(10)} ${line}`)
  })
  process.stdout.write(`\n${lines.join("\n")}\nraw numbers: ${settings.out}/*-${settings.name}.json\n`)
}

/** What a path was measured at; `how` is the end of its files' names. */
function* ownLines(read, how) {
  const [load, decode, prefill, agreement, search] = ["load", "decode", "prefill", "agreement", "search"].map((what) =>
    read(what + how),
  )
  const by = how === "" ? "" : ` by ${how.slice(1)}`
  const percent = (share) => `${(100 * share).toFixed(1)} %`
  const list = (values) => values.map((x) => x.toFixed(2)).join(", ")
  if (load) yield `load: ${list(load.runs.map(({ weights }) => weights))} s for ${(load.bytes / 1e9).toFixed(2)} GB${load.when}`
  for (const { rows, step, tokensPerSecond, ofBandwidth } of decode?.results ?? []) {
    const speed = `${(step * 1000).toFixed(2)} ms a step, ${tokensPerSecond.toFixed(0)} tokens/s`
    yield `decode${by}, rows ${rows}: ${speed}, ${percent(ofBandwidth)} of bandwidth${decode.when}`
  }
  for (const { length, tokensPerSecond, ofArithmetic } of prefill?.results ?? []) {
    yield `prefill${by}, ${length} tokens: ${tokensPerSecond.toFixed(0)} tokens/s, ${percent(ofArithmetic)} of arithmetic${prefill.when}`
  }
  if (agreement) {
    const { sameRows, mean, rows, when } = agreement
    yield `greedy tokens${by} are f32's in ${percent(sameRows)} of ${rows} rows, log-probs within ${mean.toExponential(1)} nats mean${when}`
  }
  if (!search) return
  const { seconds, coefficients, tokens, singles, when } = search
  yield `search${by}, ${coefficients} x ${tokens}: ${list(seconds.batch)} s in one batch; ${singles} one by one ${list(seconds.oneByOne)} s${when}`
}

function* baselineLines(read) {
  const sweeps = read("hf-sweep")
  for (const { run, seconds, peak_gib: peak } of sweeps?.runs ?? []) {
    yield `Hugging Face, ${run}: ${seconds} s, ${peak} GiB${sweeps.when}`
  }
  for (const name of ["logits", "logits-steered"]) {
    const found = read(name)
    if (!found) continue
    const { worst, deviation, sameFirst, when } = found
    const sizes = `${worst.toPrecision(2)} at most (deviation ${deviation.toPrecision(3)})`
    yield `${name} beside Hugging Face's: differ by ${sizes}, first token ${sameFirst ? "the same" : "another"}${when}`
  }
}

function* peerLines(read) {
  const peers = read("peers")
  for (const { name, wall, sameRows } of peers?.results ?? []) {
    const { row, tokensPerSecond: speed } = wall
    const times = `${(row.batch * peers.rows).toFixed(2)} s in one batch, ${row.alone.toFixed(3)} s a row alone`
    const decode = `decode ${speed.alone.toFixed(0)} tokens/s of one row, ${speed.batch.toFixed(0)} of ${peers.rows}`
    yield `beside llama.cpp, ${name}: ${times}; ${decode}; ${(100 * sameRows).toFixed(1)} % of rows as Redline's${peers.when}`
  }
}
