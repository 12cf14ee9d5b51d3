import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import {
  bufferSource,
  type Device,
  findRedline,
  type Model,
  parsePairs,
  readVector,
  SteeringVector,
  trainVector,
} from "../../src/index.ts"
import { embeddedInstructModel, embeddedModel, loadModel, openDevice, readRun } from "../../src/node.ts"
import { type DiskModels, openModels, readVectors } from "../../src/node/serve-catalogue.ts"
import { serve, type Server } from "../../src/node/serve.ts"
import { type Backend, createBackend, type NamedVector } from "../../src/web/backend.ts"
import type { GenerateRequest, Side } from "../../src/web/protocol.ts"
import { heapInUse } from "../helpers/heap.ts"
import { nineOfTen } from "../helpers/numbers.ts"
import { type Arrived, ask, askAll, ofType, smallPage, timed } from "../helpers/serve.ts"

const PAIR = { positive: "I am talking about the long red bridge over the bay.", negative: "I am a farmer." }
const choice = { model: "tiny-talk", vector: PAIR }
const search = { ...choice, prompts: ["These days, I", "My name is Anna."], chat: false, coefficients: [0.5, 1, 4], tokens: 8 }
const trial = { ...choice, coefficient: 0.8, input: { prompt: "These days, I" }, tokens: 20 }
/** As little as a search can be. */
const small = { ...search, prompts: ["I am"], coefficients: [1], tokens: 1 }
/** A search that takes many seconds. */
const long = { ...search, prompts: Array<string>(8).fill("These days, I"), tokens: 256 }

const OWN = { modelHint: "tiny-talk", method: "by hand" }
const folder = mkdtempSync(join(tmpdir(), "redline-serve-"))
const pairs = readFileSync(join(embeddedModel, "pairs", "bridge.jsonl"), "utf8").split("\n")

let device: Device
let models: DiskModels
let vectors: NamedVector[]
let engine: Backend
let server: Server
let base: string
/** The same models and vector beside the server. */
let model: Model
let instruct: Model
let vector: SteeringVector
const made: number[] = []

const backend = (memory?: number): Backend =>
  createBackend({
    device,
    models: models.sources,
    vectors,
    versions: { redline: "0.1.0" },
    ...(memory !== undefined && { memory }),
  })

beforeAll(async () => {
  device = await openDevice()
  models = await openModels([embeddedModel, embeddedInstructModel], [3, 4])
  writeFileSync(join(folder, "bridge.jsonl"), `${pairs.slice(0, 6).join("\n")}\n`)
  writeFileSync(join(folder, "own.safetensors"), new SteeringVector([[2, new Float32Array(256).fill(1)]], OWN).toSafetensors())
  writeFileSync(join(folder, "wide.gguf"), new SteeringVector([[2, new Float32Array(64).fill(1)]], OWN).toGguf())
  writeFileSync(join(folder, "notes.txt"), "no vector")
  vectors = await readVectors(folder)
  engine = backend()
  server = await serve({ engine: timed(engine, made), page: await smallPage(), host: "127.0.0.1", port: 0 })
  base = `http://127.0.0.1:${server.port}`
  model = await loadModel(embeddedModel, { device })
  instruct = await loadModel(embeddedInstructModel, { device })
  vector = await trainVector(model, [PAIR], { layers: [3, 4] })
})

afterAll(async () => {
  await server.close()
  await engine[Symbol.asyncDispose]()
  await models[Symbol.asyncDispose]()
  device.dispose()
  rmSync(folder, { recursive: true })
})

test("the catalogue names the models, and the vectors that fit them", async () => {
  const [catalogue, ...rest] = await askAll(base, "catalogue", {})
  expect(rest).toEqual([])
  const both = ["tiny-talk", "tiny-talk-instruct"]
  expect(catalogue).toMatchObject({
    type: "catalogue",
    version: "0.1.0",
    adapter: { name: expect.stringMatching(/./), software: device.facts.software },
    models: [
      { name: "tiny-talk", layers: 6, hiddenSize: 256, chat: false, prompt: expect.stringContaining("sister") },
      { name: "tiny-talk-instruct", chat: true, prompt: "Please tell me a story." },
    ],
    vectors: [
      { name: "bridge", models: both, layers: [3, 4], topic: "bridge" },
      { name: "own.safetensors", models: both, layers: [2] },
    ],
    limits: { prompts: 8, tokens: 256 },
  })
  expect(catalogue?.vectors).toHaveLength(2)
})

describe("find", () => {
  test("gives the curve of findRedline, point by point, and the run's files", async () => {
    const events = await askAll(base, "find", search)
    const { coefficients, tokens } = search
    const found = await findRedline(model, vector, { prompts: search.prompts, coefficients, tokens })
    expect(events.at(-1)).toMatchObject({
      type: "found",
      metric: "improbable",
      layers: [3, 4],
      baseline: found.baseline,
      limit: found.threshold,
      crossing: found.crossing,
      max: found.max,
      minimum: found.minimum,
    })
    const order = events.map(({ type }) => type).filter((type) => type !== "loading" && type !== "searching")
    expect(order.filter((type, i) => type !== order[i - 1] || type === "point")).toEqual([
      "training",
      "settings",
      "point",
      "point",
      "point",
      "point",
      "found",
    ])
    expect(ofType(events, "settings")[0]).toMatchObject({ metric: "improbable", layers: [3, 4], unit: found.unit })
    const points = ofType(events, "point").toSorted((a, b) => a.coefficient - b.coefficient)
    expect(points.map(({ coefficient, metric }) => ({ coefficient, metric }))).toEqual(
      found.curve.map(({ coefficient, metric }) => ({ coefficient, metric })),
    )
    for (const [i, { completions }] of points.entries()) {
      const own = found.curve[i]?.completions ?? []
      expect(completions.map(({ logprobs }) => logprobs)).toEqual(own.map(({ logprobs }) => logprobs))
      expect(completions.map(({ pieces }) => pieces.join(""))).toEqual(own.map(({ text }) => text))
      expect(completions.map(({ pieces }) => pieces.length)).toEqual(own.map(({ ids }) => ids.length))
    }

    for (const [name, text] of Object.entries(ofType(events, "found")[0]?.files ?? {})) writeFileSync(join(folder, name), text)
    const run = await readRun(folder)
    expect(run).toMatchObject({
      versions: { redline: "0.1.0" },
      model: { name: "tiny-talk", hiddenSize: 256, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      vector: { method: "mean", layers: [3, 4], sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      result: { max: found.max, crossing: found.crossing, unit: found.unit, stopped: false },
    })
    expect(run.prompts).toEqual(found.prompts)
    expect(run.curve.map(({ metrics }) => metrics)).toEqual(found.curve.map(({ metrics }) => metrics))
    expect(run.curve[3]?.completions[1]?.pieces).toEqual(points[3]?.completions[1]?.pieces)
  })

  test("takes messages to an instruct model, and a topic of the catalogue", async () => {
    const request = { model: "tiny-talk-instruct", vector: { name: "bridge" }, prompts: ["Hello! Who are you?"], chat: true }
    const events = await askAll(base, "find", { ...request, coefficients: [0.2], tokens: 6 })
    expect(ofType(events, "loading").at(-1)).toMatchObject({ model: "tiny-talk-instruct", bytes: 10951168, totalBytes: 10951168 })
    expect(ofType(events, "training").at(-1)).toMatchObject({ done: 6, total: 6 })
    const [answer] = await instruct.complete([instruct.encodeChat([{ role: "user", content: "Hello! Who are you?" }])], {
      tokens: 6,
      repetitionPenalty: 1.1,
    })
    expect(ofType(events, "point")[0]?.completions[0]?.pieces.join("")).toBe(instruct.decode(answer?.ids ?? []))
  })
})

/** What a generation said of one side. */
function sideOf(
  events: readonly Arrived<"generate">[],
  side: Side,
): { text: string; tokens: number; logprobs: (number | null)[] } {
  const pieces = ofType(events, "token").filter((event) => event.side === side)
  const logprobs = ofType(events, "logprobs").filter((event) => event.side === side)
  for (const { from, values } of logprobs) expect(values.length).toBeLessThanOrEqual(pieces.length - from)
  return {
    text: pieces.map(({ piece }) => piece).join(""),
    tokens: pieces.length,
    logprobs: logprobs.flatMap(({ values }) => values),
  }
}

/** Both sides of a request as the model itself gives them, with what the unsteered model says of their tokens. */
async function expected(writer: Model, prompts: readonly number[][], { coefficient, tokens }: GenerateRequest) {
  const steering = [{ vector, coefficient: [null, coefficient] }]
  const rows = await writer.complete(prompts, { steering, ...(tokens !== undefined && { tokens }) })
  const sequences = rows.map(({ ids }, row) => ({ ids: [...(prompts[row] ?? []), ...ids], from: prompts[row]?.length ?? 0 }))
  const scores = await writer.score(sequences)
  return rows.map(({ ids, stopped }, row) => ({ ids, stopped, text: writer.decode(ids), logprobs: scores[row]?.logprobs ?? [] }))
}

/** That the events say what the model gives. */
function expectSides(events: readonly Arrived<"generate">[], rows: Awaited<ReturnType<typeof expected>>): void {
  for (const [row, side] of (["unsteered", "steered"] as const).entries()) {
    const { text, tokens, logprobs } = sideOf(events, side)
    expect({ text, tokens }).toEqual({ text: rows[row]?.text, tokens: rows[row]?.ids.length })
    for (const [i, value] of (rows[row]?.logprobs ?? []).entries()) expect(logprobs[i]).toBeCloseTo(value, 3)
    expect(logprobs).toHaveLength(tokens)
    const end = ofType(events, "end").filter((event) => event.side === side)
    expect(end.map(({ stopped }) => stopped)).toEqual([rows[row]?.stopped])
  }
  expect(events.at(-1)).toMatchObject({ type: "done" })
}

describe("generate", () => {
  test("streams the greedy tokens of both sides, each within 100 ms of its being made", async () => {
    made.length = 0
    const events = await askAll(base, "generate", trial)
    const ids = model.encode("These days, I")
    const rows = await expected(model, [ids, ids], trial)
    expect(rows[1]?.text).not.toBe(rows[0]?.text)
    expectSides(events, rows)
    expect(
      ofType(events, "logprobs")
        .filter(({ side }) => side === "steered")
        .map(({ from }) => from),
    ).toEqual([0, 16])
    const arrived = ofType(events, "token").map(({ at }) => at)
    expect(made).toHaveLength(40)
    expect(nineOfTen(arrived.map((at, i) => at - (made[i] as number)))).toBeLessThan(100)
    // They come one by one, not all at the end.
    expect(new Set(arrived.map((at) => at.toFixed())).size).toBeGreaterThan(10)
  })

  test("answers a conversation on each side, with its own history", async () => {
    const turns = (answer: string) => [
      { role: "user", content: "Describe a cow." },
      { role: "assistant", content: answer },
      { role: "user", content: "Please tell me a story." },
    ]
    const input = { unsteered: turns("It is a big animal."), steered: turns("The bridge is long and red.") }
    const request = { ...choice, model: "tiny-talk-instruct", coefficient: 0.6, input, tokens: 12 }
    const events = await askAll(base, "generate", request)
    vector = await trainVector(instruct, [PAIR], { layers: [3, 4] })
    const rows = await expected(instruct, [instruct.encodeChat(input.unsteered), instruct.encodeChat(input.steered)], request)
    vector = await trainVector(model, [PAIR], { layers: [3, 4] })
    expectSides(events, rows)
  })

  test("a side that ends at a token of its own says so, and the other goes on", async () => {
    const input = (content: string) => [{ role: "user", content }]
    const chat = { unsteered: input("Hello! Who are you?"), steered: input("Please tell me a story.") }
    const events = await askAll(base, "generate", {
      ...trial,
      model: "tiny-talk-instruct",
      coefficient: 0,
      input: chat,
      tokens: 60,
    })
    const ends = ofType(events, "end")
    expect(ends.map(({ side, stopped }) => [side, stopped])).toEqual([
      ["unsteered", "end"],
      ["steered", expect.stringMatching(/^(end|length)$/)],
    ])
    expect(sideOf(events, "unsteered").tokens).toBeLessThan(sideOf(events, "steered").tokens)
  })

  test("a seed draws the same again; where steering acts is heeded", async () => {
    const drawn = { ...trial, temperature: 1.5, seed: 7, tokens: 4 }
    const texts = async (request: GenerateRequest): Promise<string[]> => {
      const events = await askAll(base, "generate", request)
      return [sideOf(events, "unsteered").text, sideOf(events, "steered").text]
    }
    const first = await texts(drawn)
    expect(await texts(drawn)).toEqual(first)
    expect(await texts({ ...drawn, seed: 8 })).not.toEqual(first)
    const strong = { ...trial, coefficient: 4, tokens: 4 }
    const [plain, everywhere] = await texts(strong)
    const [, last] = await texts({ ...strong, where: "last" })
    expect(new Set([plain, everywhere, last]).size).toBe(3)
  })
})

test("a vector of the catalogue is trained of its own pairs", async () => {
  const [event] = ofType(
    await askAll(base, "vector", { model: "tiny-talk", vector: { name: "bridge" }, layers: [2], format: "gguf" }),
    "vector",
  )
  expect(event?.file).toBe("bridge.gguf")
  const read = await readVector(bufferSource("it", Buffer.from(event?.base64 ?? "", "base64")))
  const own = await trainVector(model, parsePairs(pairs.slice(0, 6).join("\n")), { layers: [2] })
  expect(read.directions).toEqual(own.directions)
  expect(read.metadata).toEqual({ modelHint: "tiny-talk", method: "mean", createdFrom: "6 pairs of bridge" })
})

test.each(["safetensors", "gguf"] as const)("a vector's file, %s, is the vector", async (format) => {
  const [event] = ofType(await askAll(base, "vector", { ...choice, format }), "vector")
  expect(event?.file).toBe(`vector.${format}`)
  const read = await readVector(bufferSource("it", Buffer.from(event?.base64 ?? "", "base64")))
  expect(read.layers).toEqual([3, 4])
  for (const layer of read.layers) expect(read.directions.get(layer)).toEqual(vector.directions.get(layer))
})

describe("several visitors", () => {
  /** A visitor whose tab is open, and what came so far. */
  function visit(request: typeof search) {
    const stop = new AbortController()
    const events: Arrived<"find">[] = []
    const reading = (async () => {
      for await (const event of ask(base, "find", request, stop.signal)) events.push(event)
    })().catch(() => {}) // an aborted fetch throws
    return { stop, events, reading }
  }
  const until = async (happened: () => boolean): Promise<void> => {
    while (!happened()) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  test("see their place; a closed tab stops its work, a slider does not wait for another's search", async () => {
    const before = device.allocated
    const first = visit(long)
    await until(() => ofType(first.events, "searching").some(({ batch }) => batch > 0))
    const second = visit(small)
    await until(() => second.events.length > 0)
    const third = visit(small)
    const fourth = visit(small)
    await until(() => third.events.length > 0 && fourth.events.length > 0)
    const generated = await askAll(base, "generate", { ...trial, tokens: 2 })
    expect(generated.at(-1)).toMatchObject({ type: "done" })
    expect(ofType(generated, "queued")).toEqual([])
    expect(ofType(first.events, "point")).toEqual([])

    third.stop.abort()
    await until(() => ofType(fourth.events, "queued").length === 2)
    first.stop.abort()
    await Promise.all([second.reading, fourth.reading])
    const ahead = ({ events }: typeof first): number[] => ofType(events, "queued").map((event) => event.ahead)
    expect([ahead(first), ahead(second), ahead(third), ahead(fourth)]).toEqual([[], [1], [2], [3, 2, 1]])
    expect(ofType(first.events, "found")).toEqual([])
    expect(ofType(third.events, "found")).toEqual([])
    const ends = [second, fourth].map(({ events }) => ofType(events, "found")[0]?.at ?? 0)
    expect(ends[0]).toBeGreaterThan(0)
    expect(ends[1]).toBeGreaterThan(ends[0] as number)
    // Buffers of the work that was stopped are free again; the workspace grew once.
    expect(device.allocated - before).toBeLessThan(40e6)
  })

  test("50 of them lose nothing, and the memory stays flat", async () => {
    /** What each is told, but for waiting; and how many were before the last. */
    const crowd = async (count: number): Promise<{ told: string[]; ahead: number }> => {
      const all = await Promise.all(Array.from({ length: count }, () => askAll(base, "find", small)))
      const points = (events: readonly Arrived<"find">[]): unknown[] =>
        events.filter(({ type }) => type === "point" || type === "found").map(({ at: _, ...event }) => event)
      const ahead = Math.max(...all.flatMap((events) => ofType(events, "queued").map((event) => event.ahead)))
      return { told: all.map((events) => JSON.stringify(points(events))), ahead }
    }
    const [alone] = (await crowd(3)).told
    const [allocated, held] = [device.allocated, await heapInUse()]
    const { told, ahead } = await crowd(50)
    expect(alone).toContain('"found"')
    expect(told).toEqual(Array<string>(50).fill(alone ?? ""))
    expect(ahead).toBeGreaterThan(40)
    expect(device.allocated - allocated).toBeLessThan(1e5)
    // What they were told is 0.3 MB, what fetch keeps of 50 connections more.
    expect((await heapInUse()) - held).toBeLessThan(3e6)
  })
})

test("models that do not fit together make room for one another", async () => {
  await using tight = backend(1)
  const generate = async (name: string): Promise<number> => {
    for await (const event of tight.ask("generate", { ...trial, model: name, tokens: 1 })) expect(event.type).not.toBe("failed")
    return device.allocated
  }
  const allocated = [await generate("tiny-talk"), await generate("tiny-talk-instruct"), await generate("tiny-talk")]
  // A second model beside the first would take its 11 MB of weights.
  expect(Math.max(...allocated) - Math.min(...allocated)).toBeLessThan(1e6)
})

test("disposing stops everything and frees the models", async () => {
  const before = device.allocated
  const short = backend()
  const reading = (async () => {
    let last = ""
    for await (const event of short.ask("find", long)) {
      last = event.type
      if (event.type === "searching" && event.batch > 0) void short[Symbol.asyncDispose]()
    }
    return last
  })()
  expect(await reading).toBe("searching")
  await short[Symbol.asyncDispose]()
  expect(device.allocated - before).toBeLessThan(1e5)
})
