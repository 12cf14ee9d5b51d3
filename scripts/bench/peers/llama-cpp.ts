import { readFile } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { InputError } from "../../../src/index.ts"
import type { Engine, Rows } from "./measure.ts"

// What the benchmark uses of node-llama-cpp, which is no dependency of this package: it serves this comparison alone.
interface Library {
  getLlama(options: object): Promise<Llama>
}
interface Llama {
  readonly gpu: string | false
  readonly systemInfo: string
  readonly llamaCppRelease: { readonly release: string }
  getGpuDeviceNames(): Promise<string[]>
  loadModel(options: object): Promise<LoadedModel>
  dispose(): Promise<void>
}
interface LoadedModel {
  createContext(options: object): Promise<Context>
  tokenize(text: string): number[]
}
interface Context {
  readonly currentThreads: number
  getSequence(): Sequence
}
interface Sequence {
  clearHistory(): Promise<void>
  evaluate(tokens: readonly number[], options: object): AsyncIterable<number>
}

const GPUS = ["false", "vulkan", "cuda"] as const
const INSTALL_IT = "run «npm install node-llama-cpp» in a folder of its own and name that folder"

/** llama.cpp by the prebuilt binaries of node-llama-cpp. */
export class LlamaCpp implements AsyncDisposable {
  /** Versions, processor features and the GPU. */
  readonly facts: Readonly<Record<string, unknown>>
  readonly #llama: Llama

  private constructor(llama: Llama, facts: Readonly<Record<string, unknown>>) {
    this.#llama = llama
    this.facts = facts
  }

  /**
   * @param folder where node-llama-cpp was installed, after `--node-llama-cpp`
   * @param gpu after `--gpu`
   * @throws InputError when it is not there, or has no binary that runs here.
   */
  static async open(folder: string | undefined, gpu: string): Promise<LlamaCpp> {
    const where = "--node-llama-cpp"
    if (folder === undefined) throw new InputError({ where, expected: "a folder", found: "nothing", todo: INSTALL_IT })
    if (!(GPUS as readonly string[]).includes(gpu)) {
      throw new InputError({ where: "--gpu", expected: GPUS.join(", "), found: `«${gpu}»` })
    }
    const home = join(folder, "node_modules", "node-llama-cpp")
    const manifest = await readFile(join(home, "package.json"), "utf8").catch((error: unknown) => {
      throw new InputError({ where, expected: home, found: "no such package", todo: INSTALL_IT }, { cause: error })
    })
    const library = (await import(pathToFileURL(join(home, "dist", "index.js")).href)) as Library
    const options = { gpu: gpu === "false" ? false : gpu, build: "never", skipDownload: true, maxThreads: 0, logLevel: "error" }
    const llama = await library.getLlama(options).catch((error: unknown) => {
      const { message } = error as Error
      throw new InputError({ where: `--gpu ${gpu}`, expected: "a binary that runs here", found: message }, { cause: error })
    })
    const devices = llama.gpu === false ? [] : await llama.getGpuDeviceNames()
    if (llama.gpu !== false && devices.length === 0) {
      throw new InputError({
        where: `--gpu ${gpu}`,
        expected: "a GPU that llama.cpp takes",
        found: "none",
        todo: "try --gpu false",
      })
    }
    const { version } = JSON.parse(manifest) as { readonly version: string }
    const facts = {
      nodeLlamaCpp: version,
      llamaCpp: llama.llamaCppRelease.release,
      systemInfo: llama.systemInfo,
      gpu: llama.gpu,
      devices,
    }
    return new LlamaCpp(llama, facts)
  }

  /** Processors that the system gives: as many threads are usual. */
  static readonly threads: number = availableParallelism()

  /** Loads a GGUF file, all of it on the GPU where there is one. */
  async load(file: string): Promise<LlamaCppModel> {
    const model = await this.#llama.loadModel({ modelPath: file, gpuLayers: this.#llama.gpu === false ? 0 : "max" })
    return new LlamaCppModel(model)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#llama.dispose()
  }
}

export interface EngineOptions {
  readonly name: string
  /** Sequences of the large batch. */
  readonly rows: number
  readonly promptTokens: number
  /** Prompt and what is generated. */
  readonly positions: number
  readonly threads: number
  /** Keys and values in F32 and plain attention; otherwise both as llama.cpp has them unless told. */
  readonly exact: boolean
}

/** A model, and contexts for it. */
export class LlamaCppModel {
  readonly #model: LoadedModel

  constructor(model: LoadedModel) {
    this.#model = model
  }

  tokenize(text: string): number[] {
    return this.#model.tokenize(text)
  }

  /** Two contexts: of one sequence, and of all rows. */
  async engine({ name, rows, promptTokens, positions, threads, exact }: EngineOptions): Promise<Engine> {
    const precision = { flashAttention: false, experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32" }
    const open = async (sequences: number): Promise<Sequence[]> => {
      const context = await this.#model.createContext({
        sequences,
        contextSize: positions,
        batchSize: sequences * promptTokens, // all prompts at once; then each batch takes the rows that wait, 63 or 64 of 64
        threads,
        ...(exact ? precision : {}),
      })
      return Array.from({ length: sequences }, () => context.getSequence())
    }
    const [one, all] = [await open(1), await open(rows)]
    return {
      name,
      generate: async (prompts, tokens): Promise<Rows> => {
        const sequences = prompts.length === 1 ? one : all
        await Promise.all(sequences.map((sequence) => sequence.clearHistory()))
        return Promise.all(prompts.map((prompt, row) => greedy(sequences[row] as Sequence, prompt, tokens)))
      },
    }
  }
}

async function greedy(sequence: Sequence, prompt: readonly number[], tokens: number): Promise<number[]> {
  const ids: number[] = []
  for await (const id of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (ids.push(id) === tokens) break
  }
  return ids
}
