import * as z from "zod"
import { GraderError, InputError } from "../engine/errors.ts"
import { reason } from "../engine/json.ts"

/** Whose protocol an endpoint speaks. */
export type EndpointKind = "anthropic" | "openai"

/** The variables of the environment that hold the keys, as the services' own programs have them. */
export const KEY_VARIABLES: Readonly<Record<EndpointKind, string>> = { anthropic: "ANTHROPIC_API_KEY", openai: "OPENAI_API_KEY" }

const DEFAULT_ADDRESS: Readonly<Record<EndpointKind, string>> = {
  anthropic: "https://api.anthropic.com",
  openai: "https://api.openai.com/v1",
}

/** An endpoint that answers as a language model. */
export interface EndpointOptions {
  readonly kind: EndpointKind
  /** The model's name there. */
  readonly model: string
  /** Is sent to the endpoint and nowhere else; no message holds it. */
  readonly key: string
  /** The address, of any server that speaks the protocol; that of the service unless told. */
  readonly baseUrl?: string | undefined
}

/** That an endpoint cannot answer now and is asked again. */
export interface EndpointWait {
  readonly host: string
  readonly status: number
  /** As long as it asks to wait; undefined where it does not say. */
  readonly seconds: number | undefined
}

/** Asks one question and gives the answer's text. @throws GarbledAnswer, InputError, GraderError, or the signal's reason */
export type Ask = (question: string, signal: AbortSignal) => Promise<string>

/** An answer that is none: asking again may help. */
export class GarbledAnswer extends GraderError {
  override name = "GarbledAnswer"
}

/** The waits between tries double from half a second to 8 s, 23 s in all, unless the endpoint names its own. */
const RETRIES = 6
/** Of one try, in milliseconds. */
const TIMEOUT = 120_000
/** Room for a model that thinks before it answers; the answers take about a tenth. */
const MOST_TOKENS = 2048

/**
 * The address that an endpoint is asked at.
 * @param where Names the address in the message, which shows it unless it may hold a secret.
 * @throws InputError for what is no http address, or one that holds a password
 */
export function endpointAddress({ kind, baseUrl }: Pick<EndpointOptions, "kind" | "baseUrl">, where = "base URL"): string {
  if (baseUrl === undefined) return DEFAULT_ADDRESS[kind]
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined
  if (!url || !/^https?:$/.test(url.protocol)) {
    const found = /[@?#]/.test(baseUrl) ? "another text" : `«${baseUrl}»`
    throw new InputError({ where, expected: "an address such as http://localhost:8080/v1", found })
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    const todo = `give the key in ${KEY_VARIABLES[kind]}`
    throw new InputError({ where, expected: "an address without a user, a password or a query", found: "one with", todo })
  }
  return url.href.replace(/\/+$/, "")
}

/** @throws InputError for a key that no header can hold */
export function checkKey({ kind, key }: Pick<EndpointOptions, "kind" | "key">): void {
  if (/^[\x21-\x7e]+$/.test(key)) return
  throw new InputError({ where: KEY_VARIABLES[kind], expected: "a key of letters, digits and signs", found: "other characters" })
}

/**
 * Opens an endpoint by its service's own library, which repeats what may be repeated (429, 5xx, a connection that fails or breaks off)
 * and waits as long as a retry-after says.
 */
export async function openEndpoint(options: EndpointOptions, onWait: (wait: EndpointWait) => void): Promise<Ask> {
  checkKey(options)
  const address = endpointAddress(options)
  const { host } = new URL(address)
  const ask = await SPEAKERS[options.kind](options, {
    apiKey: options.key,
    baseURL: address,
    maxRetries: RETRIES,
    timeout: TIMEOUT,
    logLevel: "off",
    fetch: watchedFetch(host, onWait),
  })
  return async (question, signal) => {
    try {
      return hide(await ask(question, signal), options.key)
    } catch (error) {
      if (signal.aborted) throw signal.reason as unknown
      throw explained(error, options, host)
    }
  }
}

/** What both libraries are told. Everything that they would else read from the environment is said. */
interface ClientOptions {
  readonly apiKey: string
  readonly baseURL: string
  readonly maxRetries: number
  readonly timeout: number
  readonly logLevel: "off"
  readonly fetch: typeof fetch
}
type Speaker = (options: EndpointOptions, client: ClientOptions) => Promise<Ask>

const anthropicShape = z.looseObject({ content: z.array(z.looseObject({ type: z.string(), text: z.string().optional() })) })
const openaiShape = z.looseObject({
  choices: z.array(z.looseObject({ message: z.looseObject({ content: z.string().nullish() }) })).min(1),
})

// The libraries take a second to load: only who asks them pays it.
const SPEAKERS: Readonly<Record<EndpointKind, Speaker>> = {
  async anthropic({ model }, options) {
    const { Anthropic } = await import("@anthropic-ai/sdk")
    const client = new Anthropic({ ...options, webhookKey: null })
    return async (question, signal) => {
      const messages = [{ role: "user" as const, content: question }]
      const answer: unknown = await client.messages.create({ model, max_tokens: MOST_TOKENS, messages }, { signal })
      const { content } = shaped(anthropicShape, answer)
      return content.map((block) => (block.type === "text" ? (block.text ?? "") : "")).join("")
    }
  },
  async openai({ model }, options) {
    const { OpenAI } = await import("openai")
    const client = new OpenAI({ ...options, adminAPIKey: null, organization: null, project: null, webhookSecret: null })
    return async (question, signal) => {
      const messages = [{ role: "user" as const, content: question }]
      const answer: unknown = await client.chat.completions.create(
        { model, max_completion_tokens: MOST_TOKENS, messages },
        { signal },
      )
      return shaped(openaiShape, answer).choices[0]?.message.content ?? ""
    }
  },
}

function shaped<T extends z.ZodType>(shape: T, answer: unknown): z.output<T> {
  const result = shape.safeParse(answer)
  if (result.success) return result.data
  throw new GarbledAnswer("no answer of the protocol")
}

/**
 * Fetch for the libraries: says when an endpoint is busy; reads the body at once, within the library's time limit and where a connection
 * that breaks off is tried again; and does not follow a redirection, which would take the key to another host.
 */
function watchedFetch(host: string, onWait: (wait: EndpointWait) => void): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, { ...init, redirect: "manual" })
    const body = await response.arrayBuffer()
    const { status, statusText, headers } = response
    if (status === 429 || status >= 500) onWait({ host, status, seconds: retryAfter(headers) })
    return new Response(body.byteLength === 0 ? null : body, { status, statusText, headers })
  }
}

/** What the libraries wait: seconds from now, as the headers give milliseconds, seconds or a date. */
export function retryAfter(headers: Headers): number | undefined {
  const milliseconds = Number.parseFloat(headers.get("retry-after-ms") ?? "")
  if (milliseconds > 0) return milliseconds / 1000
  const text = headers.get("retry-after") ?? ""
  const seconds = Number.parseFloat(text)
  const wait = Number.isNaN(seconds) ? (Date.parse(text) - Date.now()) / 1000 : seconds
  return wait > 0 ? wait : undefined
}

/** An error of the libraries as one of ours, in one line and without the key. Theirs is no cause: it holds what was sent. */
function explained(error: unknown, { kind, key, model }: EndpointOptions, host: string): Error {
  const status = (error as { readonly status?: unknown }).status
  const found = hide(reason(error), key)
  if (status === 401 || status === 403)
    return new InputError({ where: KEY_VARIABLES[kind], expected: `a key that ${host} takes`, found: `a refusal (${found})` })
  if (status === 404)
    return new InputError({ where: "grader", expected: `the model ${model} at ${host}`, found: `no such one (${found})` })
  if (typeof status === "number") return new GraderError(`${host}: ${found}`)
  const cause = (error as Error).cause
  if (isConnection(error)) return new GraderError(`${host} cannot be reached: ${hide(reason(innermost(cause ?? error)), key)}`)
  return new GarbledAnswer(`${host}: expected an answer of the ${kind} protocol, found ${found}`)
}

const isConnection = (error: unknown): boolean => error instanceof Error && error.constructor.name.startsWith("APIConnection")

/** Fetch says «fetch failed» and no more: what failed is its cause. */
function innermost(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? innermost(error.cause) : error
}

/** Characters of a key at least: a shorter word, for an endpoint that needs none, is no secret and may be part of any answer. */
const KEY_LENGTH = 8

const hide = (text: string, key: string): string => (key.length < KEY_LENGTH ? text : text.replaceAll(key, "[key]"))
