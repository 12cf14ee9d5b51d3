import { describe, expect, test, vi } from "vitest"
import { GraderError, InputError } from "../../src/engine/errors.ts"
import { type EndpointKind, type EndpointWait, endpointAddress, retryAfter } from "../../src/node/grader-endpoint.ts"
import { remoteGrader, type RemoteGraderOptions } from "../../src/node/remote-grader.ts"
import type { Answer } from "../../src/steering/grades.ts"
import { type Asked, cutOff, failure, graderServer, json, type Reaction } from "../helpers/grader-server.ts"

const KEY = "sk-very-secret-0123456789"
/** Both libraries take it for a wait. */
const SOON = { "retry-after-ms": "20" }

interface Outcome {
  readonly answers: ReadonlyMap<number, Answer>
  readonly waits: readonly EndpointWait[]
  readonly asked: readonly Asked[]
  readonly together: number
  readonly error: unknown
}

/** Asks the questions «0», «1», … of a server that reacts so. */
async function ask(
  kind: EndpointKind,
  count: number,
  react: (asked: Asked, n: number) => Reaction | Promise<Reaction>,
  options: Partial<RemoteGraderOptions> & { readonly signal?: AbortSignal } = {},
): Promise<Outcome> {
  await using server = await graderServer(kind, react)
  const waits: EndpointWait[] = []
  const answers = new Map<number, Answer>()
  const { signal, ...more } = options
  const onWait = (wait: EndpointWait): void => void waits.push(wait)
  const grader = remoteGrader({ kind, model: "judge", key: KEY, baseUrl: server.url, onWait, ...more })
  const questions = Array.from({ length: count }, (_, i) => `${i}`)
  const error: unknown = await grader
    .rate(questions, (i, answer) => answers.set(i, answer), signal)
    .then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
  return { answers, waits, asked: server.asked, together: server.together, error }
}

const rated = (rating: number): string => `The text is so.\nRating: [[${rating}]]`
/** What can be known of an error: its message, its stack and all that it refers to. */
const everything = (error: unknown): string =>
  error instanceof Error
    ? [error.message, error.stack, JSON.stringify(error), everything(error.cause)].join("\n")
    : JSON.stringify(error)

describe.each<[EndpointKind, string]>([
  ["anthropic", "/v1/messages"],
  ["openai", "/v1/chat/completions"],
])("%s", (kind, path) => {
  test("every question is asked once, with the key, and its answer read", async () => {
    const { answers, asked, error } = await ask(kind, 7, ({ text }) => rated(Number(text) % 3))
    expect(error).toBeUndefined()
    expect([...answers.keys()].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(answers.get(5)).toEqual({ rating: 2, reply: "The text is so.\nRating: [[2]]" })
    expect(asked.map(({ text }) => text).toSorted()).toEqual(["0", "1", "2", "3", "4", "5", "6"])
    expect(asked.map(({ key }) => key)).toEqual(Array(7).fill(KEY))
    expect(asked[0]).toMatchObject({ path, body: { model: "judge", messages: [{ role: "user", content: "0" }] } })
  })

  test("a word in place of a key that is not needed is no secret: ratings that hold it are read", async () => {
    const { answers } = await ask(kind, 1, () => rated(1), { key: "1" })
    expect(answers.get(0)).toEqual({ rating: 1, reply: "The text is so.\nRating: [[1]]" })
  })

  test.each<[string, Reaction]>([
    ["500", failure(500, "inside", SOON)],
    ["529", failure(529, "overloaded", SOON)],
    ["a cut connection", cutOff(false)],
    ["a connection that is cut within an answer", cutOff(true)],
    [
      "nonsense in place of JSON",
      (response) => void response.writeHead(200, { "content-type": "application/json" }).end("{oops"),
    ],
    ["a page in place of JSON", (response) => void response.writeHead(200, { "content-type": "text/html" }).end("<p>welcome")],
    ["JSON of another protocol", json(200, { content: 7, choices: [] })],
    ["nothing at all", (response) => void response.writeHead(200).end()],
    ["an answer without a rating", "I would rather not say."],
    ["a rating outside the scale", rated(3)],
  ])("%s, then an answer: it is asked again", async (_, first) => {
    const { answers, asked, error } = await ask(kind, 1, (__, n) => (n === 0 ? first : rated(1)))
    expect(error).toBeUndefined()
    expect(answers.get(0)?.rating).toBe(1)
    expect(asked).toHaveLength(2)
  })

  test("429: the question waits as long as retry-after says, and so do the others", async () => {
    const busy = failure(429, "slow down", { "retry-after": "1" })
    const { answers, asked, waits, error } = await ask(kind, 8, (_, n) => (n === 0 ? busy : rated(2)), { concurrency: 2 })
    expect(error).toBeUndefined()
    expect(answers.size).toBe(8)
    expect(waits).toEqual([{ host: expect.stringMatching(/^127\.0\.0\.1:\d+$/), status: 429, seconds: 1 }])
    const after = asked.map(({ at }) => at - (asked[0]?.at ?? 0))
    // What was under way when the refusal came may end, and nothing new begins.
    expect(after.filter((ms) => ms < 990).length).toBeLessThanOrEqual(4)
    expect(after.filter((ms) => ms > 400 && ms < 990)).toEqual([])
    expect(after.at(-1)).toBeGreaterThanOrEqual(990)
  })

  test("a question without a rating is passed over after three answers, the others stand", async () => {
    const { answers, asked, error } = await ask(kind, 3, ({ text }) => (text === "1" ? "No." : rated(0)))
    expect(error).toBeUndefined()
    expect([...answers.keys()].toSorted((a, b) => a - b)).toEqual([0, 2])
    expect(asked.filter(({ text }) => text === "1")).toHaveLength(3)
  })

  test.each<[string, Reaction, typeof InputError | typeof GraderError, RegExp, number]>([
    [
      "a refused key",
      failure(401, `the key ${KEY} is not known`),
      InputError,
      /^(ANTHROPIC|OPENAI)_API_KEY: expected a key that 127/,
      1,
    ],
    ["a forbidden model", failure(403, "not for you"), InputError, /_API_KEY: .* found a refusal \(403.*not for you/, 1],
    [
      "an unknown model",
      failure(404, "no such model"),
      InputError,
      /^grader: expected the model judge at 127.*404.*no such model/,
      1,
    ],
    ["a bad request", failure(400, "too long"), GraderError, /^127\.0\.0\.1:\d+: 400.*too long/, 1],
    ["a redirection", json(302, {}, { location: "http://127.0.0.1:1/" }), GraderError, /: 302/, 1],
    ["429 for ever", failure(429, "no credit", SOON), GraderError, /: 429.*no credit/, 7],
    ["500 for ever", failure(500, "broken", SOON), GraderError, /: 500.*broken/, 7],
    ["nonsense for ever", json(200, "?"), GraderError, /expected an answer of the (anthropic|openai) protocol/, 3],
  ])("%s stops it with one line without the key", async (_, reaction, kindOf, message, calls) => {
    const { answers, asked, error } = await ask(kind, 20, ({ text }) => (text === "0" ? rated(1) : reaction), { concurrency: 1 })
    expect(error).toBeInstanceOf(kindOf)
    expect((error as Error).message).toMatch(message)
    expect((error as Error).message).not.toContain("\n")
    expect(everything(error)).not.toContain(KEY)
    expect([...answers.keys()]).toEqual([0])
    expect(asked).toHaveLength(1 + calls)
  })

  test("a key that is echoed is not in the answer that is kept", async () => {
    const { answers } = await ask(kind, 1, ({ key }) => `You gave me ${key}. ${rated(1)}`)
    expect(answers.get(0)).toEqual({ rating: 1, reply: `You gave me [key]. ${rated(1)}` })
  })

  test.each([3, 12])("no more are asked at a time than told, %i, and Node.js warns of no leak", async (concurrency) => {
    const warned: Error[] = []
    const warn = (warning: Error): void => void warned.push(warning)
    process.on("warning", warn)
    // Each answer waits until as many are asked as may be, and a moment for one too many.
    const held: (() => void)[] = []
    let count = 0
    const slow = (): Promise<string> =>
      new Promise((resolve) => {
        held.push(() => resolve(rated(1)))
        if (++count === 30 || held.length === concurrency) setTimeout(() => held.splice(0).forEach((go) => go()), 30)
      })
    const { together, answers } = await ask(kind, 30, slow, { concurrency })
    await new Promise((resolve) => setTimeout(resolve)) // warnings come late
    process.off("warning", warn)
    expect(answers.size).toBe(30)
    expect(together).toBe(concurrency)
    expect(warned.filter(({ name }) => name === "MaxListenersExceededWarning")).toEqual([])
  })

  test("no more are begun in a minute than told", async () => {
    const stop = new AbortController()
    setTimeout(() => stop.abort(new Error("enough")), 400)
    const { asked, answers } = await ask(kind, 5, () => rated(1), { perMinute: 2, signal: stop.signal })
    expect([asked.length, answers.size]).toEqual([2, 2])
  })

  test("stopped, it asks no more, and throws the reason at once", async () => {
    const stop = new AbortController()
    const reason = new Error("enough")
    const { asked, answers, error } = await ask(
      kind,
      50,
      ({ text }) => {
        if (text === "3") stop.abort(reason)
        return text < "3" ? rated(1) : new Promise<Reaction>(() => {})
      },
      { concurrency: 1, signal: stop.signal },
    )
    expect(error).toBe(reason)
    expect(answers.size).toBe(3)
    expect(asked).toHaveLength(4)
  })
})

test.each([
  ["that is not there", false, /^127\.0\.0\.1:\d+ cannot be reached: .*ECONNREFUSED/, 0],
  ["that always breaks off", true, /^127\.0\.0\.1:\d+ cannot be reached: /, 7],
])("an endpoint %s is named, after seven tries", async (_, there, message, calls) => {
  const real = globalThis.setTimeout
  const quick = ((act: () => void, ms = 0) => real(act, ms / 100)) as typeof setTimeout
  const clock = vi.spyOn(globalThis, "setTimeout").mockImplementation(quick)
  try {
    const server = await graderServer("openai", () => cutOff(false))
    if (!there) await server[Symbol.asyncDispose]()
    const grader = remoteGrader({ kind: "openai", model: "judge", key: KEY, baseUrl: server.url })
    const error: unknown = await grader.rate(["?"], () => {}, undefined).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(GraderError)
    expect((error as Error).message).toMatch(message)
    expect(server.asked).toHaveLength(calls)
    if (there) await server[Symbol.asyncDispose]()
  } finally {
    clock.mockRestore()
  }
})

test.each([
  ["ftp://example.org", "an address such as"],
  ["example.org", "an address such as"],
  ["http://user:hunter2@example.org", "without a user, a password or a query"],
  ["http://example.org/?key=hunter2", "without a user, a password or a query"],
])("%s is no address, and not repeated in the message", (baseUrl, message) => {
  const make = (): unknown => remoteGrader({ kind: "openai", model: "judge", key: KEY, baseUrl })
  expect(make).toThrow(InputError)
  expect(make).toThrow(message)
  expect(make).not.toThrow("hunter2")
})

test.each(["", "two words", "schlüssel", "line\nbreak"])("a key %j is refused before it is sent, unseen", (key) => {
  expect(() => remoteGrader({ kind: "anthropic", model: "judge", key })).toThrow(
    "ANTHROPIC_API_KEY: expected a key of letters, digits and signs, found other characters",
  )
})

test("an address is that of the service unless told, without a slash at its end", () => {
  expect(endpointAddress({ kind: "anthropic" })).toBe("https://api.anthropic.com")
  expect(endpointAddress({ kind: "openai" })).toBe("https://api.openai.com/v1")
  expect(endpointAddress({ kind: "openai", baseUrl: "http://localhost:8080/v1/" })).toBe("http://localhost:8080/v1")
})

test.each<[Record<string, string>, number | undefined]>([
  [{}, undefined],
  [{ "retry-after": "2" }, 2],
  [{ "retry-after": "0" }, undefined],
  [{ "retry-after": "soon" }, undefined],
  [{ "retry-after": "2", "retry-after-ms": "150" }, 0.15],
  [{ "retry-after": new Date(Date.now() - 5000).toUTCString() }, undefined],
])("the headers %j ask to wait %s s", (headers, seconds) => {
  expect(retryAfter(new Headers(headers))).toBe(seconds)
})

test("a date asks to wait until then", () => {
  expect(retryAfter(new Headers({ "retry-after": new Date(Date.now() + 10_000).toUTCString() }))).toBeGreaterThan(8)
})
