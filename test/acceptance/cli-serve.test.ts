import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { bufferSource, readVector, type SteeringVector } from "../../src/index.ts"
import { builtPage, embeddedInstructModel } from "../../src/node.ts"
import { CommandLine, finish } from "../helpers/cli.ts"
import { send } from "../helpers/serve.ts"

const cli = new CommandLine()
// Where the page has not been built.
beforeAll(() => {
  mkdirSync(builtPage, { recursive: true })
  if (!existsSync(join(builtPage, "index.html"))) writeFileSync(join(builtPage, "index.html"), "<!doctype html>")
})
afterAll(() => cli.remove())

const vectorIn = (bytes: Buffer): Promise<SteeringVector> => readVector(bufferSource("vector", bytes))

test("serves the embedded models and 20 topics with a token, their vectors without training, and stops at Ctrl-C", async () => {
  const child = cli.start("serve", "--port", "0", "--host", "0.0.0.0", "--json")
  const finished = finish(child)
  let shown = ""
  const ready = new Promise<void>((resolve) =>
    child.stdout?.on("data", (piece: Buffer) => {
      shown += piece.toString()
      if (shown.endsWith("\n")) resolve()
    }),
  )
  expect(await Promise.race([ready, finished])).toBeUndefined()
  const started = JSON.parse(shown) as { url: string; token: string; models: { name: string }[]; vectors: { name: string }[] }
  expect(started.models.map(({ name }) => name)).toEqual(["tiny-talk", "tiny-talk-instruct"])
  expect(started.vectors).toHaveLength(20)
  expect(started.token).toMatch(/^[\w-]{32}$/)
  const port = Number(new URL(started.url).port)
  const page = await send(port, "/", { method: "GET" })
  expect({ status: page.status, text: page.text }).toEqual({ status: 200, text: expect.stringMatching(/^<!doctype html>/i) })
  const authorization = `Bearer ${started.token}`
  expect((await send(port, "/api/catalogue", { headers: { authorization } })).status).toBe(200)
  expect((await send(port, "/api/catalogue")).status).toBe(401)
  const body = JSON.stringify({ model: "tiny-talk-instruct", vector: { name: "pirate" }, layers: [3], format: "safetensors" })
  const { text } = await send(port, "/api/vector", { headers: { authorization }, body })
  expect(text).not.toContain('"training"')
  const { base64 } = JSON.parse(text.trim().split("\n").at(-1) ?? "") as { base64: string }
  const kept = await vectorIn(readFileSync(join(embeddedInstructModel, "vectors/pirate.safetensors")))
  expect((await vectorIn(Buffer.from(base64, "base64"))).directions).toEqual(kept.select([3]).directions)

  await cli.expectBadInput(["serve", "--port", `${port}`, "--host", "0.0.0.0"], `--port: expected a free port, found ${port}`)
  child.kill("SIGINT")
  const { code, errors } = await finished
  expect({ code, errors }).toEqual({ code: 130, errors: [] })
})

test.each<[string, string[], string]>([
  ["a folder without a model", ["--model", "."], ".*config.json: expected a model's config.json, found no such file"],
  ["a folder without vectors", ["--vectors", "."], "\\.: expected steering vectors .* or contrast pairs .*, found none"],
  ["two models of one name", ["--model", "a/x", "--model", "b/x"], "b/x: expected a name of its own, found a second x"],
  ["a port that is none", ["--port", "70000"], "--port: expected a port from 0 to 65535, found «70000»"],
  ["a token with a space", ["--token", "a b"], "--token: expected letters, digits and signs without a space, found «a b»"],
])("refuses %s", (_what, options, message) => cli.expectBadInput(["serve", ...options], message))
