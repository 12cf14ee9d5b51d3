/**
 * What the page of the demo asks of the engine, and what comes back: the same over HTTP (a request is a POST of JSON to
 * `api/KIND`, its events are lines of JSON) as to a worker in the browser. Everything here is plain JSON, and every request says
 * all that its answer depends on: nobody keeps a visitor's state but the page.
 */
import type { ChatMessage } from "../engine/chat.ts"

/** What there is to choose from. */
export interface Catalogue {
  readonly version: string
  /** The adapter's name, and whether it only stands in for a GPU. */
  readonly adapter: { readonly name: string; readonly software: boolean }
  readonly models: readonly ModelChoice[]
  readonly vectors: readonly VectorChoice[]
  readonly limits: RequestLimits
}

export interface ModelChoice {
  readonly name: string
  readonly layers: number
  readonly hiddenSize: number
  /** Of its weights. */
  readonly bytes: number
  /** Whether it has a chat template. */
  readonly chat: boolean
  /** A prompt to begin with. */
  readonly prompt: string
}

/** A vector that is there already: a file, or contrast pairs that it is trained from when it is first used. */
export interface VectorChoice {
  readonly name: string
  /** Its models' names; it fits no other. */
  readonly models: readonly string[]
  readonly layers: readonly number[]
  /** What its pairs are about, such as «birds». */
  readonly topic: string | undefined
}

/** What a request may hold at most. */
export interface RequestLimits {
  /** Of a prompt, a message or one side of a pair. */
  readonly characters: number
  readonly prompts: number
  readonly messages: number
  /** New ones of a completion. */
  readonly tokens: number
  readonly coefficients: number
}

/** Which vector: one of the catalogue, or trained from a pair of prompts. */
export type VectorSource = { readonly name: string } | { readonly positive: string; readonly negative: string }

/** Where steering acts, as {@link SteeringPositions} of the engine. */
export type SteeredPart = "all" | "prompt" | "generated" | "last"

/** The vector on its model, and where it acts. */
export interface SteeringChoice {
  readonly model: string
  readonly vector: VectorSource
  /** All of the vector's unless told. */
  readonly layers?: readonly number[]
}

export interface FindRequest extends SteeringChoice {
  /** Texts that are continued, or, of a model that chats, user messages that are answered. */
  readonly prompts: readonly string[]
  readonly chat: boolean
  /** In ascending order; chosen by the search unless told. */
  readonly coefficients?: readonly number[]
  readonly tokens?: number
  readonly repetitionPenalty?: number
  readonly temperature?: number
  readonly seed?: number
  readonly threshold?: number
  readonly metric?: string
}

export interface GenerateRequest extends SteeringChoice {
  readonly coefficient: number
  readonly where?: SteeredPart
  /** A text to continue, or a conversation whose last message the model answers: one a side, as the two may have parted. */
  readonly input:
    | { readonly prompt: string }
    | { readonly unsteered: readonly ChatMessage[]; readonly steered: readonly ChatMessage[] }
  readonly tokens?: number
  readonly repetitionPenalty?: number
  readonly temperature?: number
  readonly seed?: number
}

export interface VectorRequest extends SteeringChoice {
  readonly format: "safetensors" | "gguf"
}

/** By kind, what a request says and which events answer it. */
export interface Requests {
  readonly catalogue: { readonly request: Record<string, never>; readonly event: { readonly type: "catalogue" } & Catalogue }
  readonly find: { readonly request: FindRequest; readonly event: FindEvent }
  readonly generate: { readonly request: GenerateRequest; readonly event: GenerateEvent }
  readonly vector: { readonly request: VectorRequest; readonly event: VectorEvent }
}

export type RequestKind = keyof Requests

/** What is happening, whatever was asked. The last event of a request that went wrong is the failure. */
export type CommonEvent =
  /** `ahead` others come first; sent again when it changes. */
  | { readonly type: "queued"; readonly ahead: number }
  | { readonly type: "loading"; readonly model: string; readonly bytes: number; readonly totalBytes: number }
  | { readonly type: "training"; readonly done: number; readonly total: number }
  /** One line that says what was expected, what was found and what to do; `bad` where the request is to blame. */
  | { readonly type: "failed"; readonly message: string; readonly bad: boolean }

export type FindEvent =
  | CommonEvent
  | { readonly type: "searching"; readonly done: number; readonly total: number; readonly batch: number }
  /** What the search goes by, before the first point. */
  | { readonly type: "settings"; readonly metric: string; readonly layers: readonly number[]; readonly unit: number | undefined }
  /** As soon as its batch is done, in the order of evaluation. */
  | ({ readonly type: "point" } & Point)
  | ({ readonly type: "found" } & Found)

export interface Point {
  readonly coefficient: number
  readonly metric: number | null
  /** In the prompts' order. */
  readonly completions: readonly { readonly pieces: readonly string[]; readonly logprobs: readonly (number | null)[] }[]
}

export interface Found {
  readonly metric: string
  readonly layers: readonly number[]
  readonly baseline: number
  /** The value of the metric at which the redline is. */
  readonly limit: number
  readonly crossing: number | null
  readonly max: number | null
  readonly minimum: number | null
  readonly reason?: string
  /** The run as `redline report` and `redline grade` read it: texts by file name. */
  readonly files: Readonly<Record<string, string>>
}

export type Side = "unsteered" | "steered"

export type GenerateEvent =
  | CommonEvent
  /** A token as soon as it is made; an empty piece where a character is not whole yet. */
  | { readonly type: "token"; readonly side: Side; readonly piece: string }
  /** What the unsteered model says of a side's tokens from the `from`-th on, in nats. */
  | { readonly type: "logprobs"; readonly side: Side; readonly from: number; readonly values: readonly (number | null)[] }
  | { readonly type: "end"; readonly side: Side; readonly stopped: "end" | "length" }
  | { readonly type: "done" }

export type VectorEvent = CommonEvent | { readonly type: "vector"; readonly file: string; readonly base64: string }

/** An engine, behind a server or in a worker. Aborting `signal` stops the work; events then end without a failure. */
export interface Connection {
  ask<K extends RequestKind>(kind: K, request: Requests[K]["request"], signal?: AbortSignal): AsyncIterable<Requests[K]["event"]>
}
