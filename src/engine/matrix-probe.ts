import { pad8 } from "../kernels/kernel.ts"
import type { Device } from "./device.ts"
import { halfBytes, halveChunk } from "./half-chunk.ts"
import { type MatmulMode, partsOf } from "./matmul-choice.ts"
import { matrixObstacle, MatrixPath } from "./matrix-path.ts"
import type { MatrixSupport } from "./matrix-unit.ts"
import { Recorder } from "./recorder.ts"

type MatrixMode = Exclude<MatmulMode, "f32">

// A count for each tile, one token past its end or past that of the tile before; the columns are enough to be split in two.
const TOKENS = [17, 65, 129, 513]
const ROWS = 70
const COLUMNS = 1096
const CLOSE = 1e-3

const known = new WeakMap<Device, Map<MatrixMode, Promise<MatrixSupport>>>()

/** The device's matrix unit, once it has multiplied small matrices in every tile as the CPU does; or why it is not to be used. */
export function probeMatrix(device: Device, mode: MatrixMode): Promise<MatrixSupport> {
  const ofDevice = known.get(device) ?? new Map<MatrixMode, Promise<MatrixSupport>>()
  known.set(device, ofDevice)
  const probe = ofDevice.get(mode) ?? tryMatrix(device, mode)
  ofDevice.set(mode, probe)
  return probe
}

async function tryMatrix(device: Device, mode: MatrixMode): Promise<MatrixSupport> {
  if ("reason" in device.matrix) return device.matrix
  const { unit } = device.matrix
  const obstacle = matrixObstacle(device, unit)
  if (obstacle !== undefined) return { reason: obstacle }
  try {
    for (const tokens of TOKENS) {
      const wrong = wrongOutput(await product(device, mode, tokens), mode, tokens)
      if (wrong !== undefined) return { reason: `matrix units that compute ${wrong}, ${tokens} tokens at a time` }
    }
    return { unit }
  } catch (error) {
    await device.settled().catch(() => {}) // what follows from the same failure
    return { reason: `matrix units that fail: ${error instanceof Error ? error.message.replace(/\s+/g, " ") : String(error)}` }
  } finally {
    device.doing("waiting for work")
  }
}

// Small numbers whose products and sums f32 holds exactly. In two parts an activation has more bits than an f16.
const weight = (n: number, k: number): number => ((n * 5 + k * 3 + ((n * k) % 7)) % 5) - 2
function activation(mode: MatrixMode, t: number, k: number): number {
  const whole = ((t * 3 + k * 7 + ((t * k) % 11)) % 5) - 2
  return mode === "matrix" ? whole : whole + ((t * 31 + k * 17) % 1024) / 4096
}

/** The outputs [tokens, pad8(ROWS)] of the matrix path, its weights converted on the device. */
async function product(device: Device, mode: MatrixMode, tokens: number): Promise<Float32Array> {
  if (!("unit" in device.matrix)) throw new TypeError("a device without matrix units")
  const size = { rows: ROWS, columns: COLUMNS }
  const floats = new Float32Array(pad8(ROWS) * COLUMNS)
  for (let n = 0; n < ROWS; n++) for (let k = 0; k < COLUMNS; k++) floats[n * COLUMNS + k] = weight(n, k)
  const rows = new Float32Array(tokens * COLUMNS)
  for (let t = 0; t < tokens; t++) for (let k = 0; k < COLUMNS; k++) rows[t * COLUMNS + k] = activation(mode, t, k)
  using stored = device.upload("a probe's weights", floats)
  using halves = device.createBuffer("a probe's weights in f16", halfBytes(ROWS, COLUMNS))
  using x = device.upload("a probe's activations", rows)
  using out = device.createBuffer("a probe's outputs", tokens * pad8(ROWS) * 4)
  using path = new MatrixPath(device, device.matrix.unit, partsOf[mode], [size], tokens)
  const chunk = { buffer: stored, firstRow: 0, rows: ROWS, type: "f32" as const, parts: [] }
  const halved = await halveChunk(device, chunk, COLUMNS, halves)
  const recorder = new Recorder(device, "trying the matrix units")
  path.multiply(recorder, { kind: "plain", x }, { ...size, chunks: [halved.chunk] }, out, { tokens })
  recorder.submit()
  return new Float32Array(await device.read(out))
}

/** The first output that is not the CPU's, in words; some tokens of each tile are looked at. */
function wrongOutput(outputs: Float32Array, mode: MatrixMode, tokens: number): string | undefined {
  for (let t = 0; t < tokens; t = t === tokens - 1 ? tokens : Math.min(t + 5, tokens - 1)) {
    for (let n = 0; n < ROWS; n++) {
      let sum = 0
      for (let k = 0; k < COLUMNS; k++) sum += activation(mode, t, k) * weight(n, k)
      const found = outputs[t * pad8(ROWS) + n] as number
      if (!(Math.abs(found - sum) <= CLOSE)) return `${found} where ${sum} is right`
    }
  }
  return undefined
}
