import { describe, expect, test } from "vitest"
import { InputError, OutOfMemoryError } from "../../src/engine/errors.ts"
import { eventsOf, type Running } from "../../src/web/backend-events.ts"
import { Lane } from "../../src/web/backend-lane.ts"
import { ModelError } from "../../src/web/backend-models.ts"
import { LIMITS, RequestChecker } from "../../src/web/backend-requests.ts"
import type { RequestKind } from "../../src/web/protocol.ts"

const never = new AbortController().signal
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve))

/** Work that is done when it is told, and what it saw. */
class Visitor {
  readonly stop = new AbortController()
  readonly ahead: number[] = []
  started = false
  finish = (): void => {}
  readonly done: Promise<string>

  constructor(lane: Lane) {
    const work = (): Promise<string> => {
      this.started = true
      return new Promise((resolve) => (this.finish = () => resolve("done")))
    }
    this.done = lane.run(work, this.stop.signal, (ahead) => this.ahead.push(ahead)).catch((error: Error) => error.name)
  }
}

describe("a lane", () => {
  test("runs one at a time in the order they came, and tells the others their place", async () => {
    const lane = new Lane()
    const [first, second, third] = [new Visitor(lane), new Visitor(lane), new Visitor(lane)]
    await turn()
    expect([first, second, third].map(({ started }) => started)).toEqual([true, false, false])
    first.finish()
    await turn()
    const late = new Visitor(lane)
    expect([second, third, late].map(({ started }) => started)).toEqual([true, false, false])
    expect([first, second, third, late].map(({ ahead }) => ahead)).toEqual([[], [1], [2, 1], [2]])
    second.finish()
    await turn()
    third.finish()
    await turn()
    late.finish()
    expect(await Promise.all([first, second, third, late].map(({ done }) => done))).toEqual(["done", "done", "done", "done"])
  })

  test("who leaves gives up the place; who fails makes way", async () => {
    const lane = new Lane()
    const failing = lane.run(
      () => Promise.reject(new Error("broken")),
      never,
      () => {},
    )
    const [second, third, fourth] = [new Visitor(lane), new Visitor(lane), new Visitor(lane)]
    third.stop.abort()
    expect(await third.done).toBe("AbortError")
    await expect(failing).rejects.toThrow("broken")
    await turn()
    expect([second.started, third.started, fourth.started]).toEqual([true, false, false])
    expect([second.ahead, third.ahead, fourth.ahead]).toEqual([[1], [2], [3, 2, 1]])
    second.finish()
    await turn()
    expect(fourth.started).toBe(true)
    const gone = new AbortController()
    gone.abort()
    await expect(lane.run(turn, gone.signal, () => {})).rejects.toThrow("aborted")
  })
})

type Event = { readonly type: string; readonly n?: number }

async function collect(events: AsyncIterable<Event>): Promise<Event[]> {
  const all: Event[] = []
  for await (const event of events) all.push(event)
  return all
}

describe("events", () => {
  test("keep their order; of those that say how things stand a slow reader gets the latest", async () => {
    const running = new Set<Running>()
    const events = eventsOf<Event>(
      async (emit) => {
        for (const n of [1, 2, 3]) emit({ type: "searching", n })
        for (const n of [4, 5]) emit({ type: "point", n })
        emit({ type: "searching", n: 6 })
        await turn()
        emit({ type: "searching", n: 7 })
      },
      undefined,
      running,
    )
    expect(running.size).toBe(0)
    expect((await collect(events)).map(({ n }) => n)).toEqual([3, 4, 5, 6, 7])
    expect(running.size).toBe(0)
  })

  test.each([
    [new InputError({ where: "prompt", expected: "a text", found: "none" }), "prompt: expected a text, found none", true],
    [new ModelError({ where: "config.json", expected: "it", found: "none" }), "config.json: expected it, found none", false],
    [new OutOfMemoryError("no room\nleft"), "no room left", false],
    [new TypeError("a slip"), "internal error: a slip", false],
  ])("end with what went wrong: %s", async (error, message, bad) => {
    const events = eventsOf<Event>(() => Promise.reject(error), undefined, new Set())
    expect(await collect(events)).toEqual([{ type: "failed", message, bad }])
  })

  test("end at once at an abort, without a failure, while the work is still told to stop", async () => {
    const running = new Set<Running>()
    const stop = new AbortController()
    let told = false
    let finish = (): void => {}
    const work = async (emit: (event: Event) => void, signal: AbortSignal): Promise<void> => {
      emit({ type: "point", n: 1 })
      await new Promise<void>((resolve) => (finish = resolve))
      told = signal.aborted
      signal.throwIfAborted()
    }
    const events = eventsOf<Event>(work, stop.signal, running)
    expect(await events.next()).toEqual({ done: false, value: { type: "point", n: 1 } })
    const pending = events.next()
    stop.abort()
    expect(await pending).toEqual({ done: true, value: undefined })
    expect(running.size).toBe(1)
    finish()
    await Promise.all([...running].map(({ done }) => done))
    expect({ told, size: running.size }).toEqual({ told: true, size: 0 })
  })

  test("nothing begins after an abort", async () => {
    let began = false
    const work = async (): Promise<void> => void (began = true)
    expect(await collect(eventsOf<Event>(work, AbortSignal.abort(), new Set()))).toEqual([])
    expect(began).toBe(false)
  })
})

const choice = { model: "tiny-talk", vector: { name: "bridge" } }
const search = { ...choice, prompts: ["I am"], chat: false }
const trial = { ...choice, coefficient: 1, input: { prompt: "I am" } }
const long = "x".repeat(LIMITS.characters + 1)
const deep = JSON.parse(`${"[".repeat(5000)}${"]".repeat(5000)}`) as unknown

describe("requests", () => {
  const checker = new RequestChecker(LIMITS)

  test.each<[RequestKind, unknown]>([
    ["catalogue", {}],
    ["find", search],
    [
      "find",
      { ...search, coefficients: [-1, 0, 2.5], tokens: 8, repetitionPenalty: 1, temperature: 0.5, seed: 3, threshold: 0.1 },
    ],
    ["find", { ...search, vector: { positive: "a", negative: "b" }, layers: [0, 3], metric: "nll" }],
    ["generate", { ...trial, where: "generated" }],
    ["generate", { ...trial, input: { unsteered: [{ role: "user", content: "Hi" }], steered: [{ role: "user", content: "" }] } }],
    ["vector", { ...choice, format: "gguf" }],
  ])("%s takes %j", (kind, request) => {
    expect(checker.check(kind, request)).toEqual(request)
  })

  test("what is no field is left away", () => {
    expect(checker.check("vector", { ...choice, format: "gguf", path: "/etc/passwd" })).toEqual({ ...choice, format: "gguf" })
  })

  test.each<[RequestKind, unknown, string]>([
    ["find", null, "find: expected an object, found null"],
    ["find", [], "find: expected an object, found []"],
    ["find", { ...search, model: 3 }, "find, model: expected a model's name, found 3"],
    ["find", { ...search, vector: "bridge" }, "find, vector: expected a name of the catalogue, or positive and negative"],
    ["find", { ...search, vector: { positive: "a" } }, "find, vector: expected a name of the catalogue"],
    [
      "find",
      { ...search, vector: { positive: long, negative: "b" } },
      "find, vector.positive: expected a text of 1 to 2000 characters",
    ],
    ["find", { ...search, layers: [] }, "find, layers: expected a list of 1 to 200, found []"],
    ["find", { ...search, layers: [1.5] }, "find, layers.0: expected a whole number from 0 to 199, found 1.5"],
    ["find", { ...search, prompts: [] }, "find, prompts: expected a list of 1 to 8, found []"],
    ["find", { ...search, prompts: Array(9).fill("x") }, "find, prompts: expected a list of 1 to 8"],
    ["find", { ...search, prompts: [long] }, 'find, prompts.0: expected a text of 1 to 2000 characters, found "xxx'],
    ["find", { ...search, prompts: [""] }, 'find, prompts.0: expected a text of 1 to 2000 characters, found ""'],
    ["find", { ...search, chat: "yes" }, 'find, chat: expected true or false, found "yes"'],
    ["find", { ...search, coefficients: Array(49).fill(1) }, "find, coefficients: expected a list of 1 to 48"],
    ["find", { ...search, coefficients: [1e39] }, "find, coefficients.0: expected a number that fits an f32, found 1e+39"],
    ["find", { ...search, tokens: 257 }, "find, tokens: expected a whole number from 1 to 256, found 257"],
    ["find", { ...search, temperature: -1 }, "find, temperature: expected a number of at least 0, found -1"],
    ["find", { ...search, repetitionPenalty: 0 }, "find, repetitionPenalty: expected a number above 0, found 0"],
    ["find", { ...search, seed: 2 ** 32 }, "find, seed: expected a whole number from 0 to 4294967295, found 4294967296"],
    ["find", { ...search, metric: "__proto__" }, "find, metric: expected one of "],
    ["generate", { ...trial, coefficient: "1" }, 'generate, coefficient: expected a number, found "1"'],
    ["generate", { ...trial, where: "everywhere" }, "generate, where: expected all, prompt, generated or last"],
    ["generate", { ...trial, input: {} }, "generate, input: expected a prompt of 1 to 2000 characters, or two conversations"],
    [
      "generate",
      { ...trial, input: { unsteered: [{ role: "user", content: "x" }], steered: [] } },
      "generate, input.steered: expected a list of 1 to 40",
    ],
    ["generate", { ...trial, input: { prompt: deep } }, "generate: expected a request, found a value nested too deeply"],
    ["vector", { ...choice, format: "exe" }, 'vector, format: expected safetensors or gguf, found "exe"'],
  ])("%s refuses %#", (kind, request, message) => {
    expect(() => checker.check(kind, request)).toThrow(InputError)
    expect(() => checker.check(kind, request)).toThrow(message)
  })
})
