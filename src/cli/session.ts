import { basename, relative, resolve } from "node:path"
import { type Device, InputError, type LlamaConfig, Model, openCheckpoint, parseMatmul } from "../index.ts"
import { adapterName } from "../engine/adapter-facts.ts"
import { embeddedModel, openDevice, openFolder } from "../node.ts"
import type { Context } from "./command.ts"
import type { Options } from "./options.ts"
import type { Terminal } from "./terminal.ts"
import { bytes } from "./text.ts"

export { adapterName } from "../engine/adapter-facts.ts"

/** A model on an open device, for the length of one command. */
export interface Session extends Disposable {
  readonly device: Device
  readonly model: Model
  /** Notes what is odd about the adapter and the model. Call it once the input is known to be good: an error is one line. */
  announce(): void
}

/**
 * Opens the device and loads the model that the options name. Bad files, and what `check` finds wrong with the model, are
 * refused before that: a large model takes long to load.
 */
export async function openSession(
  { options, terminal, signal }: Context,
  check: (config: LlamaConfig) => void | Promise<void>,
): Promise<Session> {
  await using folder = await openFolder(modelPath(options))
  const checkpoint = await openCheckpoint(folder)
  await check(checkpoint.config)
  const device = await deviceOf(options)
  try {
    const model = await Model.load(checkpoint, {
      device,
      signal,
      onProgress: ({ done, total }) => terminal.progress(`loading ${bytes(done)} of ${bytes(total)}`),
    })
    return {
      device,
      model,
      announce() {
        noteSoftware(device, terminal)
        for (const warning of model.warnings) terminal.note(`note: ${warning}`)
      },
      [Symbol.dispose]() {
        model.dispose()
        device.dispose()
      },
    }
  } catch (error) {
    device.dispose()
    throw error
  }
}

/** Another model on the session's device; undefined without a folder. Dispose it before the session. */
export async function loadBeside(
  folder: string | undefined,
  { device }: Session,
  { terminal, signal }: Context,
): Promise<Model | undefined> {
  if (folder === undefined) return undefined
  await using files = await openFolder(folder)
  const model = await Model.load(files, {
    device,
    signal,
    onProgress: ({ done, total }) => terminal.progress(`loading ${basename(resolve(folder))}, ${bytes(done)} of ${bytes(total)}`),
  })
  for (const warning of model.warnings) terminal.note(`note: ${warning}`)
  return model
}

/** The device that the options ask for. */
export async function deviceOf(options: Options): Promise<Device> {
  const adapter = options.text("adapter")
  const how = options.text("matmul")
  const matmul = how === undefined ? undefined : parseMatmul(how, "--matmul")
  return openDevice({ debug: options.has("debug"), ...(adapter !== undefined && { adapter }), ...(matmul && { matmul }) })
}

/** @throws InputError for --model beside --demo */
export function checkDemo(options: Options): void {
  if (!options.has("demo") || !options.has("model")) return
  const todo = "leave --model out, or --demo"
  throw new InputError({
    where: "--demo",
    expected: "no --model beside it, as it brings its own",
    found: options.text("model") as string,
    todo,
  })
}

/** The model's folder. */
export const modelPath = (options: Options): string => options.text("model") ?? shortPath(embeddedModel)

/** A path as short as it can be: what lies below the working directory is named from there. */
export function shortPath(path: string): string {
  const way = relative(process.cwd(), path)
  return way.startsWith("..") ? path : way || "."
}

/** The model's folder by its last name. */
export const modelName = (options: Options): string => basename(resolve(modelPath(options)))

/** A model, and its precision once it is loaded. */
type Described = Pick<Model, "config"> & Partial<Pick<Model, "precision">>

/** The model as the JSON documents give it. */
export function describeModel(options: Options, model: Described): ReturnType<typeof describeFolder> {
  return describeFolder(modelPath(options), model)
}

/** The model of a folder as the JSON documents give it. Its precision is named where it is not that of its files. */
export function describeFolder(
  path: string,
  { config, precision }: Described,
): Record<string, unknown> & { readonly name: string; readonly path: string } {
  return { name: basename(resolve(path)), path, ...config, ...(precision && precision.matmul !== "f32" && { precision }) }
}

function noteSoftware({ facts }: Device, terminal: Terminal): void {
  if (facts.software)
    terminal.note(`note: ${adapterName(facts)} is a software adapter: the results are right, the speed is not a GPU's`)
}
