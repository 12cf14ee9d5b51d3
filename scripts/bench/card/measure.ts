import type { Device, GpuBuffer } from "../../../src/engine/device.ts"
import { Recorder } from "../../../src/engine/recorder.ts"
import type { Kernel } from "../../../src/kernels/kernel.ts"
import { RedlineError } from "../../../src/index.ts"
import { CHAINS, compare, copy, fma, fmaLanes, pattern, patternAt, read, readLanes } from "./kernels.ts"
import {
  decodeResults,
  LEFTS,
  type MatrixConfig,
  matrixConfigs,
  matrixData,
  matrixKernel,
  multiplyAdds,
  RIGHTS,
  slotsOf,
  typeBytes,
} from "./matrices.ts"
import { largeEnough, repeated, secondsOf, type Speed, speedOf } from "./timing.ts"

/** How much work a measurement does. */
export interface Effort {
  readonly repeats: number
  /** Bytes of a buffer to copy, at most. */
  readonly bytes: number
  /** How long a dispatch of arithmetic takes at least, in seconds. */
  readonly seconds: number
}

/** The effort that suits an adapter: a CPU has small caches to leave and little time. */
export const effortFor = ({ facts }: Device, repeats: number): Effort =>
  facts.software ? { repeats, bytes: 2 ** 26, seconds: 0.03 } : { repeats, bytes: 2 ** 30, seconds: 0.01 }

const MAX_GROUPS = 2 ** 16
const FMA_ROUNDS = 1024

/** Memory: reading and writing (bytes of both count), and reading alone. */
export async function measureMemory(device: Device, effort: Effort): Promise<{ bytes: number; copy: Speed; read: Speed }> {
  const bytes = Math.min(effort.bytes, device.maxBinding) & ~0xffff
  const vectors = bytes / 16
  using from = device.createBuffer("bench from", bytes)
  using to = device.createBuffer("bench to", bytes)
  using sums = device.createBuffer("bench sums", readLanes({ vectors }) * 4)
  await device.settled()
  runOnce(device, pattern, [from], { vectors })
  const copied = await repeated(device, { kernel: copy, buffers: [from, to], parameters: { vectors } }, effort.repeats)
  await checkPattern(device, to, vectors)
  const added = await repeated(device, { kernel: read, buffers: [from, sums], parameters: { vectors } }, effort.repeats)
  await checkSum(device, sums, bytes / 4)
  return { bytes, copy: speedOf(2 * bytes, copied), read: speedOf(bytes, added) }
}

/** @throws RedlineError when a buffer does not hold the pattern: all of it is compared on the GPU, pieces of it here. */
async function checkPattern(device: Device, buffer: GpuBuffer, vectors: number): Promise<void> {
  using wrong = device.createBuffer("bench wrong", 16)
  runOnce(device, compare, [buffer, wrong], { vectors })
  const bad = new Uint32Array(await device.read(wrong))[0] as number
  if (bad > 0) throw new RedlineError(`card: ${bad} words of the copy are wrong`)
  const words = 4096
  for (const start of [0, vectors * 2, vectors * 4 - words]) {
    const found = new Uint32Array(await device.read(buffer, words * 4, start * 4))
    const at = found.findIndex((word, i) => word !== patternAt(start + i))
    if (at >= 0) throw new RedlineError(`card: word ${start + at} of the copy is ${found[at]} and not ${patternAt(start + at)}`)
  }
}

async function checkSum(device: Device, sums: GpuBuffer, words: number): Promise<void> {
  const found = new Uint32Array(await device.read(sums)).reduce((sum, x) => (sum + x) >>> 0, 0)
  const count = BigInt(words)
  const expected = Number(BigInt.asUintN(32, ((count * (count - 1n)) / 2n) * 0x9e3779b1n))
  if (found !== expected) throw new RedlineError(`card: the words add up to ${found} and not to ${expected}`)
}

/** Multiply-adds in f32, two operations each. */
export async function measureFma(device: Device, effort: Effort): Promise<{ groups: number; rounds: number; speed: Speed }> {
  const rounds = device.facts.software ? FMA_ROUNDS / 4 : FMA_ROUNDS
  const parameters = (groups: number) => ({ groups, rounds, factor: 1, step: 2 })
  // Lanes share the slots that they write: the memory stays small.
  const kept = 2 ** 16
  using out = device.createBuffer("bench fma", kept * CHAINS * 4)
  const timed = (groups: number): Promise<number> =>
    secondsOf(device, { kernel: fma, buffers: [out], parameters: parameters(groups) })
  const groups = await largeEnough(16, MAX_GROUPS, effort.seconds, timed)
  const seconds = await repeated(device, { kernel: fma, buffers: [out], parameters: parameters(groups) }, effort.repeats)
  const values = new Float32Array(await device.read(out))
  const lanes = Math.min(kept, groups * fmaLanes)
  for (let i = 0; i < lanes * CHAINS; i++) {
    const expected = (i % CHAINS) + rounds * (2 + (Math.floor(i / CHAINS) % 7))
    if (values[i] !== expected) throw new RedlineError(`card: multiply-add ${i} gave ${values[i]} and not ${expected}`)
  }
  return { groups, rounds, speed: speedOf(2 * groups * fmaLanes * rounds * CHAINS, seconds) }
}

/** The speed of one configuration of subgroup matrices, or why there is none. */
export interface MatrixSpeed {
  readonly config: MatrixConfig
  readonly speed: Speed | undefined
  /** What went wrong: it is then not timed. */
  readonly fault: string | undefined
}

/** Every configuration that the device offers; one that fails does not keep the others from being measured. */
export async function measureMatrices(device: Device, effort: Effort): Promise<MatrixSpeed[]> {
  const speeds: MatrixSpeed[] = []
  for (const config of matrixConfigs(device.gpu)) {
    try {
      speeds.push({ config, speed: await measureMatrix(device, config, effort), fault: undefined })
    } catch (error) {
      speeds.push({ config, speed: undefined, fault: (error as Error).message.replace(/\s+/g, " ") })
    }
  }
  return speeds
}

async function measureMatrix(device: Device, config: MatrixConfig, effort: Effort): Promise<Speed> {
  const { subgroupMinSize, subgroupMaxSize } = device.facts
  const { lefts, rights, products, rounds } = matrixData(config)
  const kernel = matrixKernel(config, subgroupMinSize, subgroupMaxSize)
  const slots = slotsOf(subgroupMinSize, subgroupMaxSize)
  const groupBytes = slots * products.length * typeBytes[config.resultComponentType]
  const most = 2 ** Math.floor(Math.log2(Math.min(MAX_GROUPS, 2 ** 26 / groupBytes, device.maxBinding / groupBytes)))
  using leftBuffer = bytesBuffer(device, "bench lefts", lefts)
  using rightBuffer = bytesBuffer(device, "bench rights", rights)
  using out = device.createBuffer("bench results", most * groupBytes)
  using used = device.createBuffer("bench subgroups", 16)
  const buffers = [leftBuffer, rightBuffer, out, used]
  const timed = (groups: number): Promise<number> => secondsOf(device, { kernel, buffers, parameters: { groups, rounds } })
  const groups = await largeEnough(Math.min(64, most), most, effort.seconds / 4, timed)
  const seconds = await repeated(device, { kernel, buffers, parameters: { groups, rounds } }, effort.repeats)
  const subgroups = new Uint32Array(await device.read(used))[0] as number
  if (subgroups < 1 || subgroups > slots) throw new RedlineError(`${subgroups} subgroups in a workgroup, of ${slots} at most`)
  const results = decodeResults(config.resultComponentType, await device.read(out, groups * groupBytes))
  checkProducts(results, products, rounds, { groups, slots, subgroups })
  return speedOf(2 * groups * subgroups * rounds * multiplyAdds(config), seconds)
}

function checkProducts(
  results: ArrayLike<number>,
  products: Int32Array,
  rounds: number,
  { groups, slots, subgroups }: { groups: number; slots: number; subgroups: number },
): void {
  for (let group = 0; group < groups; group++) {
    for (let subgroup = 0; subgroup < subgroups; subgroup++) {
      const start = (group * slots + subgroup) * products.length
      for (let i = 0; i < products.length; i++) {
        const expected = rounds * (products[i] as number)
        if (results[start + i] === expected) continue
        const where = `group ${group}, subgroup ${subgroup}, product ${i} of ${LEFTS * RIGHTS} matrices`
        throw new RedlineError(`wrong values: ${where} is ${results[start + i]} and not ${expected}`)
      }
    }
  }
}

function bytesBuffer(device: Device, label: string, bytes: Uint8Array): GpuBuffer {
  const buffer = device.createBuffer(label, bytes.length)
  device.write(buffer, bytes)
  return buffer
}

function runOnce<P>(device: Device, kernel: Kernel<P>, buffers: readonly GpuBuffer[], parameters: P): void {
  const recorder = new Recorder(device, kernel.label)
  recorder.run(kernel, buffers, parameters)
  recorder.submit()
}
