import { mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { type Browser, chromium } from "playwright-core"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { layers } from "../../src/cli/layer-map.ts"
import { commonOptions } from "../../src/cli/command.ts"
import { parseOptions } from "../../src/cli/options.ts"
import { Terminal } from "../../src/cli/terminal.ts"
import { findRedline } from "../../src/steering/find.ts"
import { mapLayers } from "../../src/steering/layer-map.ts"
import { trainVector } from "../../src/steering/train.ts"
import type { SteeringVector } from "../../src/steering/vector.ts"
import { chromiumPath } from "../helpers/chromium.ts"
import { CommandLine } from "../helpers/cli.ts"
import { PAIR, writeCliFiles } from "../helpers/cli-files.ts"
import { tinyTalkModel } from "../helpers/models.ts"

const cli = new CommandLine()
const QUICK = [...PAIR, "--sets", "3;3-4", "--tokens", "4", "--coefficients", "0.2,1"]
const shots = join(import.meta.dirname, "../../.cache/report")
let browser: Browser

beforeAll(async () => {
  writeCliFiles(cli)
  mkdirSync(shots, { recursive: true })
  browser = await chromium.launch({ executablePath: chromiumPath(), args: ["--no-sandbox"] })
})

afterAll(async () => {
  await browser?.close()
  cli.remove()
})

describe("mapLayers", () => {
  const prompt = "I am talking about"
  const quick = { prompt, tokens: 4, coefficients: [0.2, 1], metric: "nll" } as const
  let vector: SteeringVector
  beforeAll(async () => {
    const pairs = [{ positive: `${prompt} bridges`, negative: `${prompt} dogs` }]
    vector = await trainVector(await tinyTalkModel(), pairs, { layers: [3, 4] })
  })

  test("is findRedline for each set, at its unit's multiples", async () => {
    const model = await tinyTalkModel()
    const map = await mapLayers(model, vector, { ...quick, sets: [[4], [4, 3]] })
    expect(map.sets.map((set) => set.layers)).toEqual([[4], [3, 4]])
    expect(map).toMatchObject({ stopped: false, settings: { coefficients: [0.2, 1], tokens: 4, threshold: 0.2, metric: "nll" } })
    for (const set of map.sets) {
      const coefficients = [0.2, 1].map((relative) => Number((relative * set.unit).toPrecision(6)))
      const found = await findRedline(model, vector, { ...quick, layers: set.layers, coefficients })
      expect(set.found).toEqual(found)
      expect(set.points.map(({ relative, coefficient }) => [relative, coefficient])).toEqual([
        [0, 0],
        [0.2, coefficients[0]],
        [1, coefficients[1]],
      ])
      expect(set.redline).toBe(found.max)
      const at = found.curve.find(({ coefficient }) => coefficient === found.max)
      expect(set.effect?.divergence).toBe(at?.metrics["kl-p50"])
    }
    const divergences = map.sets.map(({ redline, effect }) => ((redline ?? 0) > 0 ? (effect?.divergence ?? 0) : 0))
    expect(Math.max(...divergences)).toBeGreaterThan(0)
    expect(map.suggested).toBe(map.sets[divergences.indexOf(Math.max(...divergences))])
  })

  test("the sets are each layer and each pair of neighbours unless told; aborted, it gives what is known", async () => {
    const model = await tinyTalkModel()
    const stop = new AbortController()
    const seen: string[] = []
    const map = await mapLayers(model, vector, {
      ...quick,
      signal: stop.signal,
      onProgress: ({ layers: steered, done, total }) => {
        const now = `${steered.join()} ${done}/${total}`
        if (seen.at(-1) !== now) seen.push(now)
        if (done === 1) stop.abort()
      },
    })
    expect(seen).toEqual(["3 0/3", "4 1/3"])
    expect(map.stopped).toBe(true)
    expect(map.sets[0]).toMatchObject({ layers: [3], found: { stopped: false } })
    await expect(mapLayers(model, vector, { ...quick, signal: stop.signal })).rejects.toBe(stop.signal.reason)
  })

  test.each([
    ["no sets", { sets: [] }, "sets: expected sets of at least one layer, found none"],
    ["a layer that the vector lacks", { sets: [[3], [2, 4]] }, "layers: expected some of the vector's layers 3, 4, found 2"],
    [
      "a set given twice",
      {
        sets: [
          [3, 4],
          [4, 3],
        ],
      },
      "sets: expected each set once, found layers 3, 4 again",
    ],
    [
      "coefficients that descend",
      { coefficients: [1, 0.5] },
      "coefficients: expected ascending numbers, each once, found 0.5 after 1",
    ],
    ["no coefficients", { coefficients: [] }, "coefficients: expected 1 to 4096 numbers, found 0"],
  ])("refuses %s", async (_name, options, message) => {
    await expect(mapLayers(await tinyTalkModel(), vector, { ...quick, ...options })).rejects.toThrow(message)
  })
})

describe("redline layers", () => {
  test("prints the table", async () => {
    const { code, stdout, errors } = await cli.run("layers", ...QUICK)
    expect({ code, errors }).toEqual({ code: 0, errors: [] })
    const lines = stdout.split("\n")
    expect(lines[1]).toContain("vector by mean from «I am talking about bridges»")
    expect(lines[1]).toContain("; 2 sets of layers; 1 prompt; 4 tokens, repetition penalty 1.1")
    expect(lines[3]).toMatch(/^layers +minimum +redline +own +KL +changed +0 1$/)
    expect(lines.slice(4, 6).map((line) => line.trim().split(" ")[0])).toEqual(["3", "3-4"])
    expect(stdout.match(/◀ suggested$/gm)).toHaveLength(1)
    expect(lines.slice(2).filter((line) => line.length > 100)).toEqual([])
  })

  test("has a help", async () => {
    const { code, stdout, errors } = await cli.run("layers", "--help")
    expect({ code, errors }).toEqual({ code: 0, errors: [] })
    expect(stdout).toContain("--sets LIST")
    expect(stdout.split("\n").filter((line) => line.length > 110)).toEqual([])
  })

  test("JSON and --out; the page loads nothing else, fits any screen and has the scheme's colours", async () => {
    const document = await cli.json("layers", ...QUICK, "--prompt", "I am <b>here</b>", "--metric", "nll", "--out", "map/new")
    expect(Object.keys(document)).toEqual([
      "model",
      "adapter",
      "vector",
      "prompts",
      "settings",
      "suggested",
      "stopped",
      "sets",
      "seconds",
    ])
    const sets = document["sets"] as Record<string, unknown>[]
    expect(sets.map((set) => set["layers"])).toEqual([[3], [3, 4]])
    expect(Object.keys(sets[0] ?? {})).toEqual(
      ["layers", "unit", "redline", "relativeRedline", "minimum", "relativeMinimum", "effect", "baseline", "threshold"].concat([
        "crossing",
        "reason",
        "points",
        "curve",
      ]),
    )
    const folder = cli.at("map/new")
    expect(readdirSync(folder).toSorted()).toEqual(["heat-map.png", "heat-map.svg", "layers.html", "layers.json"])
    expect(JSON.parse(readFileSync(join(folder, "layers.json"), "utf8"))).toEqual(document)
    expect(readFileSync(join(folder, "heat-map.png")).subarray(1, 4).toString()).toBe("PNG")
    for (const [width, scheme] of [
      [1000, "light"],
      [360, "dark"],
    ] as const)
      await expectGoodPage(folder, width, scheme)
  })

  test("with a vector's file the sets are of its layers", async () => {
    const quick = ["--prompt", "I am", "--tokens", "2", "--coefficients", "0.5"]
    const document = await cli.json("layers", "--vector", "good.safetensors", ...quick)
    expect(document).toMatchObject({ vector: { file: "good.safetensors", layers: [3] }, sets: [{ layers: [3] }] })
  })

  // In this process, because progress tells when the second set begins, and it is shown on a terminal alone.
  test("the first Ctrl-C prints the sets that are known", async () => {
    const stop = new AbortController()
    let shown = ""
    const stdout = { write: (text: string) => (shown += text) }
    const stderr = { isTTY: true, write: (text: string) => text.includes("layers 3-4, set 2 of 2") && stop.abort() }
    const options = parseOptions(QUICK, { ...layers.options, ...commonOptions }, "layers")
    await layers.run({ options, terminal: new Terminal(stdout, stderr, { json: false, quiet: false }), signal: stop.signal })
    expect(stop.signal.aborted).toBe(true)
    expect(shown).toMatch(/^3 /m)
    expect(shown).toContain("Stopped before all sets were searched: these are those known by then.")
  })

  test.each<[string, string[], string]>([
    ["no source of a vector", [], "layers: expected --vector, --positive with --negative, or --pairs, found none"],
    ["sets of another form", [...PAIR, "--sets", "3;x"], "--sets: expected layers such as 2-5,7 \\(from 0\\), found «x»"],
    ["no sets", [...PAIR, "--sets", ";"], "--sets: expected sets of at least one layer, found none"],
    ["a set given twice", [...PAIR, "--sets", "3-4;2;4,3"], "--sets: expected each set once, found layers 3, 4 again"],
    ["layers that the model has not", [...PAIR, "--sets", "3;5-6"], "--sets: expected layers 0 to 5, the model's, found 6"],
    [
      "layers that the vector has not",
      ["--vector", "good.safetensors", "--prompt", "x", "--sets", "3;4"],
      "good.safetensors, layers: expected some of the vector's layers 3, found 4",
    ],
    [
      "coefficients that are chosen for each",
      [...PAIR, "--coefficients", "auto"],
      "--coefficients: expected .*, found auto; give start",
    ],
    ["an unknown metric", [...PAIR, "--metric", "bleu"], "--metric: expected nll, vocab.*found «bleu»"],
    ["a folder that is a file", [...PAIR, "--out", "a-file"], "--out a-file: expected a folder to write to, found a file"],
    ["an option of find", [...PAIR, "--layers", "3"], "layers: expected an option that it takes, found --layers"],
  ])("bad input: %s", async (_name, args, message) => {
    await cli.expectBadInput(["layers", ...args], message)
  })
})

/** A program for the browser, as text: the types of its document are not this project's. */
const LOOK = `({
  width: document.documentElement.scrollWidth,
  back: getComputedStyle(document.body).backgroundColor,
  figures: [...document.querySelectorAll("svg")].filter((svg) => svg.checkVisibility()).length,
  scripts: document.querySelectorAll("script, article b").length,
})`

async function expectGoodPage(folder: string, width: number, colorScheme: "light" | "dark"): Promise<void> {
  const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme })
  const url = pathToFileURL(join(folder, "layers.html")).href
  const noise: string[] = []
  page.on("console", (message) => noise.push(message.text()))
  page.on("pageerror", (error) => noise.push(error.message))
  page.on("request", (request) => request.url() === url || request.url().startsWith("data:") || noise.push(request.url()))
  await page.goto(url)
  await page.screenshot({ path: join(shots, `layers-${width}-${colorScheme}.png`), fullPage: true })
  const back = colorScheme === "dark" ? "rgb(22, 24, 29)" : "rgb(255, 255, 255)"
  expect(await page.evaluate(LOOK)).toEqual({ width, back, figures: 1, scripts: 0 })
  expect(noise).toEqual([])
  await page.close()
}
