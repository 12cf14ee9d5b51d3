import type { Folder } from "../engine/bytes.ts"
import { type Checkpoint, openCheckpoint } from "../engine/checkpoint.ts"
import type { Device } from "../engine/device.ts"
import { InputError, OutOfMemoryError } from "../engine/errors.ts"
import { show } from "../engine/json.ts"
import { Model } from "../engine/model.ts"
import { middleThird } from "../steering/suggest.ts"
import type { ModelChoice } from "./protocol.ts"

/** A model that may be chosen. Its folder stays open as long as the backend. */
export interface ModelSource {
  readonly name: string
  readonly folder: Folder
  /** To begin with. */
  readonly prompt?: string | undefined
  /** Where to steer unless told; the middle third otherwise. */
  readonly layers?: readonly number[] | undefined
  /** Of its files, for the records of runs. */
  sha256(): Promise<string>
}

/** What is wrong with a model's files: not the fault of the request that asks for it. */
export class ModelError extends InputError {
  override name = "ModelError"
}

export type OnLoading = (bytes: number, totalBytes: number) => void

/** A model on the device, or on its way there. */
interface Loaded {
  readonly model: Promise<Model>
  readonly bytes: number
  /** Stops the loading. */
  readonly stop: AbortController
  readonly listeners: Set<OnLoading>
  users: number
  ready: boolean
}

/** Models that are loaded when they are first used, each once, and kept while they fit into `memory` together. */
export class ModelPool {
  readonly #device: Device
  readonly #sources: ReadonlyMap<string, ModelSource>
  readonly #memory: number
  readonly #checkpoints = new Map<string, Promise<Checkpoint>>()
  /** In the order of their last use. */
  readonly #loaded = new Map<string, Loaded>()

  /** @param memory Bytes of weights to keep on the device at most; what is in use stays, whatever it takes. */
  constructor(device: Device, sources: readonly ModelSource[], memory: number) {
    this.#device = device
    this.#sources = new Map(sources.map((source) => [source.name, source]))
    this.#memory = memory
  }

  /** @throws InputError for a name that is not among them. */
  source(name: string): ModelSource {
    const source = this.#sources.get(name)
    if (source) return source
    throw new InputError({ where: "model", expected: `one of ${[...this.#sources.keys()].join(", ")}`, found: show(name) })
  }

  /** What there is to choose from, in its order. @throws ModelError for files that are no model's, or lack a tokenizer. */
  choices(): Promise<ModelChoice[]> {
    return Promise.all(
      [...this.#sources.values()].map(async ({ name, prompt }) => {
        const { config, bytes, chat } = await this.checkpoint(name)
        const { layers, hiddenSize } = config
        const first = prompt ?? (chat ? "Please tell me a story." : "I think that")
        return { name, layers, hiddenSize, bytes, chat: chat !== undefined, prompt: first }
      }),
    )
  }

  /** A model's files, checked. */
  checkpoint(name: string): Promise<Checkpoint> {
    const { folder } = this.source(name)
    const known = this.#checkpoints.get(name)
    if (known) return known
    const opened = openTexts(folder).catch((error: unknown) => {
      this.#checkpoints.delete(name) // a server that did not answer may do so the next time
      throw ownFault(error)
    })
    this.#checkpoints.set(name, opened)
    return opened
  }

  /** The layers of a model to steer at unless told. */
  async layers(name: string): Promise<readonly number[]> {
    return this.source(name).layers ?? middleThird((await this.checkpoint(name)).config.layers)
  }

  /**
   * What `work` makes of a model, which stays on the device for so long.
   * @throws ModelError for files that are no model's; the signal's reason when it aborts before the work begins.
   */
  async use<T>(name: string, signal: AbortSignal, onLoading: OnLoading, work: (model: Model) => Promise<T>): Promise<T> {
    const checkpoint = await this.checkpoint(name)
    signal.throwIfAborted()
    const loaded = this.#loaded.get(name) ?? this.#load(checkpoint)
    this.#loaded.delete(name)
    this.#loaded.set(name, loaded)
    loaded.users++
    loaded.listeners.add(onLoading)
    try {
      const model = await untilAborted(loaded.model, signal)
      return await work(model)
    } finally {
      loaded.listeners.delete(onLoading)
      loaded.users--
      // Nobody waits for it any more: whoever comes next loads it anew.
      if (loaded.users === 0 && !loaded.ready) this.#drop(name, loaded)
    }
  }

  /** Frees all models; none may be in use. */
  async dispose(): Promise<void> {
    const all = [...this.#loaded.values()]
    this.#loaded.clear()
    for (const { model, stop } of all) {
      stop.abort()
      await model.then((loaded) => loaded.dispose()).catch(() => {})
    }
  }

  #load(checkpoint: Checkpoint): Loaded {
    const listeners = new Set<OnLoading>()
    const stop = new AbortController()
    const onProgress = ({ done, total }: { done: number; total: number }): void => {
      for (const listener of listeners) listener(done, total)
    }
    const options = { device: this.#device, signal: stop.signal, onProgress }
    const loading = async (): Promise<Model> => {
      this.#makeRoom(this.#memory - checkpoint.bytes)
      try {
        return await Model.load(checkpoint, options)
      } catch (error) {
        if (!(error instanceof OutOfMemoryError) || !this.#makeRoom(0)) throw ownFault(error)
        return await Model.load(checkpoint, options)
      }
    }
    const loaded: Loaded = { model: loading(), bytes: checkpoint.bytes, stop, listeners, users: 0, ready: false }
    loaded.model.then(
      (model) => {
        if (stop.signal.aborted) model.dispose()
        else loaded.ready = true
      },
      () => {}, // those who use it are told
    )
    return loaded
  }

  /** Frees the models that are idle, the longest unused first, until no more than `bytes` are kept. Says whether it freed any. */
  #makeRoom(bytes: number): boolean {
    const kept = (): number => [...this.#loaded.values()].reduce((sum, loaded) => sum + loaded.bytes, 0)
    const idle = [...this.#loaded].filter(([, { users, ready }]) => users === 0 && ready)
    let freed = false
    for (const [name, { model }] of idle) {
      if (kept() <= bytes) break
      this.#loaded.delete(name)
      void model.then((loaded) => loaded.dispose())
      freed = true
    }
    return freed
  }

  #drop(name: string, loaded: Loaded): void {
    loaded.stop.abort()
    if (this.#loaded.get(name) === loaded) this.#loaded.delete(name)
  }
}

async function openTexts(folder: Folder): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(folder)
  if (checkpoint.tokenizer) return checkpoint
  throw new InputError({ where: folder.name, expected: "a model with tokenizer.json", found: "none" })
}

function ownFault(error: unknown): unknown {
  return error instanceof InputError ? new ModelError(error.fault, { cause: error }) : error
}

/** @throws the signal's reason as soon as it aborts. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error)
    signal.addEventListener("abort", abort, { once: true })
    void promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort))
  })
}
