import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import { InputError } from "../index.ts"
import { builtPage, embeddedInstructModel, embeddedModel } from "../node.ts"
import type { Catalogue } from "../web/protocol.ts"
import type { Command, Context } from "./command.ts"
import { type NumberKind, type Options, quote } from "./options.ts"
import { versions } from "./run-record.ts"
import { adapterName, deviceOf } from "./session.ts"
import { counted } from "./text.ts"

export const serve: Command = {
  name: "serve",
  summary: "a page to find redlines and to try steering in the browser, with the engine behind it",
  options: {
    vectors: {
      value: "DIR",
      help: "steering vectors and contrast pairs to choose from; the embedded model's 20 topics unless told",
    },
    port: { value: "N", help: "to listen on; 8080 unless told, 0 takes a free one" },
    host: { value: "ADDRESS", help: "to listen on beside this machine alone, such as 0.0.0.0; visitors then need the token" },
    token: { value: "TEXT", help: "what visitors need; REDLINE_TOKEN, or made up, unless told" },
  },
  notes: [
    "Give --model again for more models to choose from; the embedded base and instruct models unless told. A model is loaded when it is " +
      "first used. A folder of --vectors holds .safetensors and .gguf files, and .jsonl files of pairs that a vector is trained from " +
      "when it is first used.",
    "It listens on 127.0.0.1 alone unless --host is given. One search runs at a time, others wait and see their place; a closed tab stops " +
      "its work. Nothing is written to disk.",
    "JSON: { url, token, models, vectors }, once it listens; token is null where none is needed.",
    "Ctrl-C stops it.",
  ],
  examples: [
    "redline serve",
    "redline serve --model ~/models/Llama-3.2-1B --vectors vectors --port 9000",
    "redline serve --host 0.0.0.0",
  ],
  run,
}

const portNumber: NumberKind = {
  expected: "a port from 0 to 65535",
  fits: (x) => Number.isInteger(x) && x >= 0 && x <= 65535,
}

const ALL: readonly string[] = ["0.0.0.0", "::"]
const EMBEDDED: readonly string[] = [embeddedModel, embeddedInstructModel]
/** Where the embedded models' card steers. */
const EMBEDDED_LAYERS: readonly number[] = [3, 4]

async function run({ options, terminal, signal }: Context): Promise<void> {
  const port = options.number("port", portNumber) ?? 8080
  const host = options.text("host") ?? "127.0.0.1"
  const token = tokenOf(options)
  // What only a server needs takes a moment to load.
  const [{ createBackend }, { serve: listen }, { openModels, readVectors, trainedIn }, { readPage }] = await Promise.all([
    import("../web/backend.ts"),
    import("../node/serve.ts"),
    import("../node/serve-catalogue.ts"),
    import("../node/serve-page.ts"),
  ])
  const page = await readPage(builtPage)
  const own = options.all("model")
  const folder = options.text("vectors")
  const trained = own.length === 0 ? trainedIn(EMBEDDED) : undefined
  const vectors = folder === undefined ? await readVectors(`${embeddedModel}/pairs`, trained) : await readVectors(folder)
  await using models = own.length > 0 ? await openModels(own) : await openModels(EMBEDDED, EMBEDDED_LAYERS)
  using device = await deviceOf(options)
  await using engine = createBackend({ device, models: models.sources, vectors, versions: versions() })
  const catalogue = await engine.catalogue()
  const server = await listen({ engine, page, host, port, token })
  const url = `http://${visible(host)}:${server.port}/`
  const address = token === undefined ? url : `${url}#token=${encodeURIComponent(token)}`
  if (terminal.json) terminal.document({ url, token: token ?? null, models: catalogue.models, vectors: catalogue.vectors })
  else terminal.print(...greeting(catalogue, adapterName(device.facts)), address, "", "Ctrl-C stops it.")
  await aborted(signal)
  await server.close()
}

/** @throws InputError for a token that no header can carry. */
function tokenOf(options: Options): string | undefined {
  const given = options.text("token") ?? process.env["REDLINE_TOKEN"]
  if (given === undefined) return options.has("host") ? randomBytes(24).toString("base64url") : undefined
  if (/^[\x21-\x7e]+$/.test(given)) return given
  const where = options.has("token") ? "--token" : "REDLINE_TOKEN"
  throw new InputError({ where, expected: "letters, digits and signs without a space", found: quote(given) })
}

/** A name by which a browser finds the server. */
function visible(host: string): string {
  if (ALL.includes(host)) return hostname()
  return host.includes(":") ? `[${host}]` : host
}

function greeting({ models, vectors }: Catalogue, adapter: string): string[] {
  const names = models.map(({ name }) => name).join(", ")
  return [`${names} on ${adapter}; ${counted(new Set(vectors.map(({ name }) => name)).size, "vector")}`]
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener("abort", () => resolve(), { once: true })
  })
}
