import { adapterName } from "../engine/adapter-facts.ts"
import type { Device } from "../engine/device.ts"
import type { Model } from "../engine/model.ts"
import { encodeVector } from "../steering/vector-file.ts"
import type { SteeringVector } from "../steering/vector.ts"
import { eventsOf, type Running } from "./backend-events.ts"
import { find } from "./backend-find.ts"
import { generate } from "./backend-generate.ts"
import { Lane } from "./backend-lane.ts"
import { ModelPool, type ModelSource } from "./backend-models.ts"
import { LIMITS, RequestChecker } from "./backend-requests.ts"
import { type NamedVector, Vectors } from "./backend-vectors.ts"
import type {
  Catalogue,
  CommonEvent,
  Connection,
  RequestKind,
  RequestLimits,
  Requests,
  SteeringChoice,
  VectorEvent,
  VectorRequest,
} from "./protocol.ts"

export type { ModelSource } from "./backend-models.ts"
export type { NamedVector } from "./backend-vectors.ts"

export interface BackendOptions {
  /** Stays open when the backend is disposed. */
  readonly device: Device
  /** At least one; their names differ. */
  readonly models: readonly ModelSource[]
  /** Their names differ. */
  readonly vectors: readonly NamedVector[]
  /** Of what made a run, for its record; `redline` is the program's own. */
  readonly versions: Readonly<Record<string, string>> & { readonly redline: string }
  readonly limits?: RequestLimits
  /** Bytes of weights to keep on the device at most; 16 GiB unless told. */
  readonly memory?: number
}

/** An engine that answers the page's requests. Disposing it stops all work and frees the models. */
export interface Backend extends Connection, AsyncDisposable {
  /** @throws InputError for files that are no model's. */
  catalogue(): Promise<Catalogue>
}

const MEMORY = 16 * 2 ** 30

/**
 * The engine of the demo, in a server or a browser's worker. Searches and training run one at a time in the order they came;
 * generation has a queue of its own, so that nobody's slider waits for another's search.
 */
export function createBackend({ device, models, vectors, versions, limits = LIMITS, memory = MEMORY }: BackendOptions): Backend {
  const pool = new ModelPool(device, models, memory)
  const work = new Work(pool, new Vectors(pool, vectors))
  const checker = new RequestChecker(limits)
  const running = new Set<Running>()
  const { facts } = device

  const catalogue = async (): Promise<Catalogue> => ({
    version: versions.redline,
    adapter: { name: adapterName(facts), software: facts.software },
    models: await pool.choices(),
    vectors: await work.vectors.choices(),
    limits,
  })
  const answers: { readonly [K in RequestKind]: Answer<K> } = {
    catalogue: async (_request, emit) => emit({ type: "catalogue", ...(await catalogue()) }),
    find: (request, emit, signal) =>
      work.search(request, emit, signal, async (model, vector) => {
        const modelHash = await pool.source(request.model).sha256()
        await find(model, vector, request, { versions, device, modelHash }, emit, signal)
      }),
    async generate(request, emit, signal) {
      const vector = await work.vectorOf(request, emit, signal)
      await work.generation(request, emit, signal, (model) => generate(model, vector, request, emit, signal))
    },
    vector: async (request, emit, signal) => emit(vectorFile(await work.vectorOf(request, emit, signal), request)),
  }
  return {
    catalogue,
    ask<K extends RequestKind>(kind: K, request: Requests[K]["request"], signal?: AbortSignal) {
      const answer = answers[kind] as Answer<K>
      return eventsOf<Requests[K]["event"]>(
        async (emit, stop) => answer(checker.check(kind, request), emit, stop),
        signal,
        running,
      ) as AsyncIterable<Requests[K]["event"]>
    },
    async [Symbol.asyncDispose]() {
      for (const { stop } of running) stop()
      await Promise.all([...running].map(({ done }) => done))
      await pool.dispose()
    },
  }
}

type Emit = (event: CommonEvent) => void
type Answer<K extends RequestKind> = (
  request: Requests[K]["request"],
  emit: (event: Requests[K]["event"]) => void,
  signal: AbortSignal,
) => Promise<void>

/** Who may use the device when, with the events that say so. */
class Work {
  readonly vectors: Vectors
  readonly #pool: ModelPool
  readonly #searches = new Lane()
  readonly #generations = new Lane()

  constructor(pool: ModelPool, vectors: Vectors) {
    this.#pool = pool
    this.vectors = vectors
  }

  /** Runs a search with its model and vector, which is trained first where it has to be. */
  search(
    choice: SteeringChoice,
    emit: Emit,
    signal: AbortSignal,
    work: (model: Model, vector: SteeringVector) => Promise<void>,
  ): Promise<void> {
    return this.#inLane(this.#searches, choice, emit, signal, async (model) => {
      await work(model, await this.#trained(model, choice, emit, signal))
    })
  }

  /** Runs a generation with its model. */
  generation(choice: SteeringChoice, emit: Emit, signal: AbortSignal, work: (model: Model) => Promise<void>): Promise<void> {
    return this.#inLane(this.#generations, choice, emit, signal, work)
  }

  /** The vector of a choice. Training it takes a turn among the searches. */
  async vectorOf(choice: SteeringChoice, emit: Emit, signal: AbortSignal): Promise<SteeringVector> {
    this.#pool.source(choice.model) // a wrong name is said before any waiting
    const known = await this.vectors.known(choice)
    if (known) return known
    return this.#inLane(this.#searches, choice, emit, signal, (model) => this.#trained(model, choice, emit, signal))
  }

  async #inLane<T>(
    lane: Lane,
    choice: SteeringChoice,
    emit: Emit,
    signal: AbortSignal,
    work: (model: Model) => Promise<T>,
  ): Promise<T> {
    this.#pool.source(choice.model)
    await this.vectors.known(choice)
    const onLoading = (bytes: number, totalBytes: number): void =>
      emit({ type: "loading", model: choice.model, bytes, totalBytes })
    return lane.run(
      () => this.#pool.use(choice.model, signal, onLoading, work),
      signal,
      (ahead) => emit({ type: "queued", ahead }),
    )
  }

  #trained(model: Model, choice: SteeringChoice, emit: Emit, signal: AbortSignal): Promise<SteeringVector> {
    return this.vectors.train(model, choice, signal, (done, total) => emit({ type: "training", done, total }))
  }
}

function vectorFile(vector: SteeringVector, { vector: source, format }: VectorRequest): Extract<VectorEvent, { type: "vector" }> {
  const name = "name" in source ? source.name.replace(/\.(safetensors|gguf)$/i, "") : "vector"
  const file = `${name}.${format}`
  return { type: "vector", file, base64: base64(encodeVector(vector, file)) }
}

/** A piece at a time: a function takes only so many arguments. */
function base64(bytes: Uint8Array): string {
  const pieces: string[] = []
  for (let at = 0; at < bytes.length; at += 8192) pieces.push(String.fromCharCode(...bytes.subarray(at, at + 8192)))
  return btoa(pieces.join(""))
}
