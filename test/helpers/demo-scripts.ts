import type { Found } from "../../src/web/protocol.ts"
import { pause, type Script } from "./scripted-engine.ts"

// What a scripted engine says to the demo's page.

const models = ["tiny", "tiny-chat"].map((name) => ({
  name,
  layers: 6,
  hiddenSize: 256,
  bytes: 11e6,
  chat: name === "tiny-chat",
  prompt: name === "tiny" ? "I live in a small house." : "Please tell me a story.",
}))
const vectors = ["bridge", "pirate"].map((name) => ({ name, models: ["tiny", "tiny-chat"], layers: [3, 4], topic: name }))
const limits = { characters: 500, prompts: 4, messages: 3, tokens: 64, coefficients: 48 }
const adapter = { name: "a scripted engine", software: true }

export const catalogue: Script = (_request, send) =>
  send({ type: "catalogue", version: "1.2.3", adapter, models, vectors, limits })

export const pieces: readonly string[] = [" The", " long", " bridge", " is <b>old</b>", "."]
export const found: { readonly type: "found" } & Found = {
  type: "found",
  metric: "improbable",
  layers: [3, 4],
  baseline: 0,
  limit: 0.025,
  crossing: 0.85,
  max: 0.8,
  minimum: 0.4,
  files: { "run.json": "{}", "curve.jsonl": "a line\n" },
}

/** A search that says everything there is to say, and waits for `next` after each of the steps. */
export function searching(next: () => Promise<void>): Script {
  return async (_request, send) => {
    send({ type: "queued", ahead: 2 })
    await next()
    send({ type: "loading", model: "tiny", bytes: 4e6, totalBytes: 11e6 })
    await next()
    send({ type: "training", done: 16, total: 64 })
    await next()
    send({ type: "settings", metric: "improbable", layers: [3, 4], unit: 2 })
    send({ type: "searching", done: 3, total: 7, batch: 0.5 })
    await next()
    // In the order of evaluation, which is not that of the axis.
    for (const coefficient of [0, 0.4, 1.2, 0.8]) {
      const logprobs = pieces.map((_, i) => -coefficient * 2 * i)
      send({
        type: "point",
        coefficient,
        metric: Math.max(0, coefficient - 0.78),
        completions: [
          { pieces, logprobs },
          { pieces, logprobs },
        ],
      })
    }
    await next()
    send(found)
  }
}

export const generating: Script = async ({ coefficient }, send, gone) => {
  for (const [i, piece] of pieces.entries()) {
    for (const side of ["unsteered", "steered"]) send({ type: "token", side, piece })
    send({ type: "logprobs", side: "unsteered", from: i, values: [-0.5] })
    await pause(20, gone)
  }
  send({ type: "logprobs", side: "steered", from: 0, values: pieces.map((_, i) => -i * Number(coefficient)) })
  for (const side of ["unsteered", "steered"]) send({ type: "end", side, stopped: "length" })
  send({ type: "done" })
}

/** A chat's answers, which name the side and the number of messages. */
export const answering: Script = ({ input }, send) => {
  const { length } = (input as { steered: unknown[] }).steered
  for (const side of ["unsteered", "steered"]) send({ type: "token", side, piece: `${side} ${length}` })
}
