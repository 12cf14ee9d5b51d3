import { create } from "webgpu"
import { Device, type DeviceOptions } from "../engine/device.ts"
import { AdapterError, InputError } from "../engine/errors.ts"
import { matmulPath } from "../engine/matmul-path.ts"
import { Rest } from "./rest.ts"

export interface OpenDeviceOptions extends DeviceOptions {
  /** Part of the adapter's name, upper or lower case; without it the fastest adapter that Dawn finds. */
  readonly adapter?: string
  /** Keeps WebGPU's validation and bounds checks on: slower, and mistakes are named. */
  readonly debug?: boolean
}

// What Dawn is told, each with its reason. Debug mode leaves validation and robustness on.
const FAST = [
  "skip_validation", // encoding a dispatch takes half the time; the tests run with validation
  "disable_robustness", // no bounds check on every load: our indices are in range by construction
  "disable_polyfills_on_integer_div_and_mod", // we never divide by zero
]
const ALWAYS = [
  "allow_unsafe_apis", // timestamps, subgroup matrices
  "vulkan_enable_f16_on_nvidia", // otherwise NVIDIA's driver offers no f16
]

/**
 * Opens a WebGPU device through Dawn.
 *
 * The instance is kept on `globalThis`: if it were collected while a device lives, the process would abort.
 * @throws AdapterError when there is no adapter, or the null backend alone; InputError when there are others than of that name, or
 * matrix units are asked for and not there, or compute wrong.
 */
export async function openDevice(options: OpenDeviceOptions = {}): Promise<Device> {
  const enable = [...ALWAYS, ...(options.debug ? [] : FAST)]
  const flags = [`enable-dawn-features=${enable.join(",")}`, "disable-dawn-features=timestamp_quantization"]
  if (options.adapter !== undefined) flags.push(`adapter=${options.adapter}`)
  const kept = globalThis as { redlineDawn?: GPU[] }
  const gpu = create(flags)
  ;(kept.redlineDawn ??= []).push(gpu)
  const adapter = await requestAdapter(gpu, options.adapter)
  // A GPU needs no processor, and its results are wanted at once.
  const resting = adapter.info.isFallbackAdapter && { onWait: new Rest().during }
  const device = await Device.from(adapter, { ...resting, ...options })
  try {
    await matmulPath(device, options.matmul)
    return device
  } catch (error) {
    device.dispose()
    throw error
  }
}

async function requestAdapter(gpu: GPU, name: string | undefined): Promise<GPUAdapter> {
  let adapter: GPUAdapter | null = null
  let cause: unknown
  try {
    adapter = await gpu.requestAdapter({ powerPreference: "high-performance" })
  } catch (error) {
    cause = error // Dawn throws when a name was given and matches none, with the adapters that there are
  }
  if (adapter) return adapter
  const said = cause instanceof Error ? cause.message : ""
  const others = [...new Set([...said.matchAll(/name: '([^'\n]*)'/g)].map(([, other]) => `«${other}»`))]
  if (name !== undefined && others.length > 0) {
    const expected = `an adapter whose name holds «${name}»`
    const todo = "take one of them or leave --adapter out"
    throw new InputError({ where: "--adapter", expected, found: others.join(", "), todo }, { cause })
  }
  const there = said === "" ? "" : ` (${said.replace(/\s+/g, " ").trim()})`
  throw new AdapterError(`Dawn finds no WebGPU adapter${there}: install a Vulkan driver`, { cause })
}
