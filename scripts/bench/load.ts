import { Core } from "../../src/engine/core.ts"
import { bufferSource, type Checkpoint, openCheckpoint, readTensorF32, RedlineError, type TensorEntry } from "../../src/index.ts"
import { bytesPerWeight, type WeightType } from "../../src/kernels/weights.ts"
import { openFolder } from "../../src/node.ts"
import { measureUpload } from "./card/host.ts"
import { effortFor } from "./card/measure.ts"
import { modelFolder } from "./model.ts"
import { columns, digits, gigabytes, percent } from "./numbers.ts"
import type { Benchmark } from "./report.ts"

/** Bytes of the files that are read alone, for the disk's speed. */
const READ_ALONE = 2 ** 30
const PIECE = 8 * 2 ** 20
/** Matrices of which the first and last rows are compared with the files, about. */
const COMPARED = 8

/** A model from its files to the GPU, again and again: the first time may be the disk's, later ones the system's cache's. */
export const loadBenchmark: Benchmark = {
  options: {},
  async run(context) {
    const { device, repeats } = context
    const path = modelFolder(context)
    const before = process.resourceUsage().maxRSS * 1024
    const runs: Loaded[] = []
    for (let i = 0; i < repeats; i++) runs.push(await load(path, device))
    const peak = process.resourceUsage().maxRSS * 1024
    const read = await readAlone(path)
    const bytes = runs[0]?.bytes as number
    const { bytes: uploaded, writeBuffer, mapped } = await measureUpload(device, effortFor(device, 3).bytes / 4, 3)
    const upload = { bytes: uploaded, writeBuffer: writeBuffer.perSecond, mapped: mapped.perSecond }
    const ceiling = Math.max(upload.writeBuffer, upload.mapped)
    const head = ["", "headers, s", "weights, s", "", "of upload"]
    const table = runs.map(({ headers, weights }, i) => [
      i === 0 ? "first" : `again ${i}`,
      digits(headers),
      digits(weights),
      gigabytes(bytes / weights),
      percent(bytes / weights / ceiling),
    ])
    const uploads = `upload alone: ${gigabytes(upload.writeBuffer)} by writeBuffer, ${gigabytes(upload.mapped)} by mapped buffers`
    const lines = [
      `${path}: ${digits(bytes / 1e9)} GB of weights; ${runs[0]?.compared} rows compared with the files`,
      ...columns([head, ...table]),
      `  ${uploads}; the files read alone, afterwards: ${gigabytes(read.bytes / read.seconds)}`,
      `  the process held ${mib(peak)} at most (${mib(before)} before), the GPU ${mib(runs[0]?.allocated ?? 0)}`,
    ]
    return { lines, json: { model: path, bytes, runs, upload, readAlone: read, hostBytes: { before, peak } } }
  },
}

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`

interface Loaded {
  readonly bytes: number
  /** Seconds to read and check everything but the weights. */
  readonly headers: number
  /** Seconds to bring the weights to the GPU. */
  readonly weights: number
  /** Bytes of GPU memory held. */
  readonly allocated: number
  /** Rows compared with the files. */
  readonly compared: number
}

async function load(path: string, device: Parameters<typeof Core.load>[0]): Promise<Loaded> {
  const before = device.allocated
  const start = performance.now()
  await using folder = await openFolder(path)
  const checkpoint = await openCheckpoint(folder)
  const opened = performance.now()
  using core = await Core.load(device, checkpoint, {})
  await device.gpu.queue.onSubmittedWorkDone()
  const done = performance.now()
  const compared = await compareRows(core, checkpoint)
  return {
    bytes: checkpoint.bytes,
    headers: (opened - start) / 1000,
    weights: (done - opened) / 1000,
    allocated: device.allocated - before,
    compared,
  }
}

/** @returns the rows compared. @throws RedlineError when one is not the file's, or none can be: then no time is told. */
async function compareRows({ weights, device }: Core, { tensors }: Checkpoint): Promise<number> {
  const { embedding, layers, head } = weights
  const all = [embedding, ...layers.flatMap(({ qkv, output, gateUp, down }) => [qkv, output, gateUp, down]), head]
  const some = all.filter((_, i) => i % Math.max(1, Math.floor(all.length / COMPARED)) === 0 || i === all.length - 1)
  let compared = 0
  for (const { columns: width, chunks } of some) {
    for (const { buffer, parts, rows, type } of chunks) {
      const stride = Math.ceil(width / 8) * 8 * bytesPerWeight[type]
      for (const [part, row] of [[parts[0], 0] as const, [parts.at(-1), rows - 1] as const]) {
        const entry = part && tensors.get(part.name)
        if (!entry || entry.shape[0] !== part.rows) continue // a piece of a tensor that is larger than a binding
        const fileRow = row === 0 ? 0 : part.rows - 1
        const onGpu = await device.read(buffer, width * bytesPerWeight[type], row * stride)
        await compareRow(entry, fileRow, type, onGpu)
        compared++
      }
    }
  }
  if (compared === 0) throw new RedlineError("load: no row of the weights can be compared with the files: nothing is timed")
  return compared
}

async function compareRow(entry: TensorEntry, row: number, type: WeightType, bytes: ArrayBuffer): Promise<void> {
  const { name, begin, end, shape, dtype } = entry
  const size = (end - begin) / (shape[0] as number)
  const expected = await readTensorF32({ ...entry, begin: begin + row * size, end: begin + (row + 1) * size })
  const source = bufferSource("the GPU", bytes)
  const stored = type.toUpperCase() as TensorEntry["dtype"]
  const found = await readTensorF32({ ...entry, source, dtype: stored, begin: 0, end: bytes.byteLength })
  // An engine that converts to another precision may scale a tensor by a power of two.
  const largest = expected.reduce((best, x, i) => (Math.abs(x) > Math.abs(expected[best] as number) ? i : best), 0)
  const scale = dtype === stored ? 1 : 2 ** Math.round(Math.log2((found[largest] as number) / (expected[largest] as number)))
  const margin = dtype === stored ? 0 : Math.abs(scale * (expected[largest] as number)) * 2 ** -10
  const bad = expected.findIndex((x, i) => !(Math.abs(scale * x - (found[i] as number)) <= margin))
  if (bad < 0) return
  const values = `${found[bad]} instead of ${scale * (expected[bad] as number)}`
  throw new RedlineError(`load: row ${row}, column ${bad} of ${name} is ${values} on the GPU: nothing is timed`)
}

/** Reads the weights' files without the GPU, 1 GiB at most: what the disk or the system's cache gives. */
async function readAlone(path: string): Promise<{ bytes: number; seconds: number }> {
  await using folder = await openFolder(path)
  const { tensors } = await openCheckpoint(folder)
  let bytes = 0
  const start = performance.now()
  for (const { source, begin, end } of tensors.values()) {
    for (let at = begin; at < end && bytes < READ_ALONE; at += PIECE) {
      const stop = Math.min(end, at + PIECE)
      await source.slice(at, stop)
      bytes += stop - at
    }
  }
  return { bytes, seconds: (performance.now() - start) / 1000 }
}
