import { readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { InputError } from "../../src/engine/errors.ts"
import { Model } from "../../src/engine/model.ts"
import { openDevice } from "../../src/node/dawn.ts"
import { openFolder } from "../../src/node/files.ts"
import { embeddedInstructModel } from "../../src/node.ts"
import { CommandLine } from "../helpers/cli.ts"
import { PAIR } from "../helpers/cli-files.ts"

const cli = new CommandLine()
afterAll(() => cli.remove())

const QUESTION = "What do you know about bridges?"
// <|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n…<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n
const CHAT = [4080, 4086, 2442, 4087, 416, 2490, 408, 301, 432, 317, 500, 70, 279, 30, 4089, 4086, 2445, 4087, 416]
const INSTRUCT = ["--model", embeddedInstructModel]
const QUICK = [...INSTRUCT, ...PAIR, "--layers", "3-4", "--tokens", "8", "--coefficients", "0.5,4", "--chat"]

describe("redline generate --chat", () => {
  test("answers with sentences and stops at the end of the message", async () => {
    const document = await cli.json("generate", ...INSTRUCT, "--chat", "--prompt", QUESTION, "--tokens", "60")
    expect(document).toMatchObject({ prompt: QUESTION, promptIds: CHAT, stopped: "end" })
    expect((document["ids"] as number[]).at(-1)).toBe(4089)
    expect(document["text"]).toMatch(/^[A-Z][^<]*bridge[^<]*\.$/)
  })

  test("takes messages alone", async () => {
    await cli.expectBadInput(["generate", ...INSTRUCT, "--chat", "--ids", "1"], "--chat: expected it alone, found --ids too")
  })

  test("needs an instruct model, and room for the answer", async () => {
    const none = "tiny-talk: expected a model with a chat template, found none; choose an instruct model"
    await cli.expectBadInput(["generate", "--chat", "--prompt", "x"], none)
    const long = "chat «x»: expected at most 2048 tokens.*11 and 2040 to generate"
    await cli.expectBadInput(["generate", ...INSTRUCT, "--chat", "--prompt", "x", "--tokens", "2040"], long)
  })
})

describe("redline find --chat", () => {
  test("steers the answers; what is shown and kept is the message, the ids are the chat's", async () => {
    const document = await cli.json("find", ...QUICK, "--prompt", QUESTION, "--out", "run")
    expect(document).toMatchObject({ model: { name: "tiny-talk-instruct" }, prompts: [{ text: QUESTION, ids: CHAT }] })
    const curve = document["curve"] as { completions: { text: string }[] }[]
    expect(curve[0]?.completions[0]?.text).toMatch(/^Let me/)
    const { prompts } = JSON.parse(readFileSync(cli.at("run/run.json"), "utf8")) as Record<string, unknown>
    expect(prompts).toEqual([{ text: QUESTION, ids: CHAT, chat: true }])
    // The same text without the template is another search.
    const plain = QUICK.filter((option) => option !== "--chat")
    const { code, errors } = await cli.run("find", ...plain, "--prompt", QUESTION, "--out", "run")
    expect({ code, errors }).toEqual({ code: 2, errors: [expect.stringMatching(/run\.json, prompts\.0\.ids/)] })
  })

  test("another model of the same tokens judges the answers", async () => {
    const search = ["find", ...QUICK, "--prompt", QUESTION]
    const own = await cli.json(...search)
    const other = await cli.json(...search, "--evaluator", join(CommandLine.root, "models/tiny-talk"))
    const texts = (document: Record<string, unknown>): unknown[] =>
      (document["curve"] as { completions: { ids: number[] }[] }[]).map(({ completions }) => completions.map(({ ids }) => ids))
    expect(texts(other)).toEqual(texts(own))
    // The base model never saw the chat's format: it is more surprised by the answers.
    expect(other["baseline"]).toBeGreaterThan(own["baseline"] as number)
  })
})

describe("encodeChat", () => {
  let model: Model
  beforeAll(async () => {
    await using folder = await openFolder(embeddedInstructModel)
    model = await Model.load(folder, { device: await openDevice() })
  })
  afterAll(() => {
    model.dispose()
    model.device.dispose()
  })

  test("gives the ids of a conversation, which the model takes as a prompt", async () => {
    const ids = model.encodeChat([{ role: "user", content: QUESTION }])
    expect(ids).toEqual(CHAT)
    const answer = await model.complete([ids], { tokens: 5 })
    expect(model.decode(answer[0]?.ids ?? [])).toMatch(/^Let me/)
    const longer = model.encodeChat([
      { role: "user", content: QUESTION },
      { role: "assistant", content: "Little." },
      { role: "user", content: "Why?" },
    ])
    expect(longer.slice(0, CHAT.length)).toEqual(CHAT)
    expect(longer.filter((id) => id === 4080)).toHaveLength(1)
  })

  test.each<[string, () => number[], RegExp]>([
    ["no messages", () => model.encodeChat([]), /^messages: expected at least one message, found \[\]$/],
    [
      "a message longer than the context",
      () => model.encodeChat([{ role: "user", content: "word ".repeat(3000) }]),
      /^chat «word .*…»: expected at most 2048 tokens/,
    ],
  ])("refuses %s", (_name, encode, message) => {
    expect(encode).toThrow(InputError)
    expect(encode).toThrow(message)
  })
})
