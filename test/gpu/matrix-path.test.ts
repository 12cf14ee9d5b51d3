import { describe, expect, test } from "vitest"
import { describeFolder } from "../../src/cli/session.ts"
import type { Device, GpuBuffer } from "../../src/engine/device.ts"
import { InputError } from "../../src/engine/errors.ts"
import { describeMatmul } from "../../src/engine/matmul-path.ts"
import { MatrixPath, type MatrixSize } from "../../src/engine/matrix-path.ts"
import { probeMatrix } from "../../src/engine/matrix-probe.ts"
import { Model } from "../../src/engine/model.ts"
import { Recorder } from "../../src/engine/recorder.ts"
import type { Matrix } from "../../src/engine/weights.ts"
import { type Kernel, pad8 } from "../../src/kernels/kernel.ts"
import { residual } from "../../src/kernels/residual.ts"
import { rmsNorm } from "../../src/kernels/rms-norm.ts"
import { siluGate } from "../../src/kernels/silu-gate.ts"
import { openDevice } from "../../src/node/dawn.ts"
import { openFolder } from "../../src/node/files.ts"
import { testDevice } from "../helpers/device.ts"
import { loadReference, tinyTalkFolder } from "../helpers/fixtures.ts"
import { padRows, readFloats } from "../helpers/gpu.ts"
import { randomModel, tinyTalkModel } from "../helpers/models.ts"
import { expectClose, packWeights, random } from "../helpers/numbers.ts"
import { checkpointFolder, makeCheckpoint } from "../reference/checkpoint.ts"
import { emulatedUnit } from "../helpers/matrix-unit.ts"

const unit = emulatedUnit()
const emulating = (options = {}): Promise<Device> => openDevice({ debug: true, matrix: { unit }, ...options })

test("the probe passes a matrix unit that computes right, in both modes", async () => {
  using device = await emulating()
  expect(await probeMatrix(device, "matrix")).toEqual({ unit })
  expect(await probeMatrix(device, "matrix-exact")).toEqual({ unit })
  expect(probeMatrix(device, "matrix")).toBe(probeMatrix(device, "matrix"))
})

test.each([
  [
    "forgets the last columns",
    "for (var k = 0u; k < DEPTH + none(); k += MATRIX_K)",
    "for (var k = 0u; k < DEPTH - MATRIX_K; k += MATRIX_K)",
  ],
  ["mixes up two outputs", "results[at + i] =", "results[at + (i ^ 1u)] ="],
  ["computes nothing", "results[at + i] = (*sums)[i / 4][i % 4]", "results[at + i] = 0"],
])("the probe finds a matrix unit that %s", async (_, right, wrong) => {
  const broken = { ...unit, emulate: (code: string) => unit.emulate!(code).replace(right, wrong) }
  using device = await emulating({ matrix: { unit: broken } })
  expect(await probeMatrix(device, "matrix")).toEqual({
    reason: expect.stringMatching(/^matrix units that compute .* where .* is right/),
  })
  await device.settled()
})

const UNKNOWN = "matmul: expected auto, f32, matrix or matrix-exact, found «fast»; choose one of them"

test("matrix units that are not there are an error of one line, where they are asked for", async () => {
  const matrix = { reason: "an adapter without them" }
  const said =
    "matmul: expected matrix units that multiply f16 to f32, for matrix, found an adapter without them; use f32, or another"
  const asked = openDevice({ debug: true, matrix, matmul: "matrix" })
  await expect(asked).rejects.toThrow(said)
  await expect(asked).rejects.toThrow(InputError)
  await expect(openDevice({ matmul: "fast" as "auto" })).rejects.toThrow(UNKNOWN)
  using device = await openDevice({ debug: true, matrix })
  const folder = checkpointFolder(makeCheckpoint({ seed: 1 }))
  await expect(Model.load(folder, { device, matmul: "matrix" })).rejects.toThrow(said)
  await expect(Model.load(folder, { device, matmul: "fast" as "auto" })).rejects.toThrow(UNKNOWN)
  expect(await describeMatmul(device)).toEqual({ mode: "f32", reason: expect.any(String), unit: null, without: matrix.reason })
})

test("lavapipe has none, and says what it lacks", async () => {
  const { facts, matrix } = await testDevice()
  if (facts.software) expect(matrix).toEqual({ reason: expect.stringMatching(/^an adapter without /) })
  else expect(matrix).toBeDefined()
})

test("auto is f32 and says why; f32 says nothing", async () => {
  using device = await emulating()
  const folder = checkpointFolder(makeCheckpoint({ seed: 1 }))
  using auto = await Model.load(folder, { device })
  expect(auto.precision).toEqual({ matmul: "f32", reason: expect.stringMatching(/measured/) })
  using plain = await Model.load(folder, { device, matmul: "f32" })
  expect(plain.precision).toEqual({ matmul: "f32" })
  expect(plain.warnings).toEqual([])
})

describe.each([
  { name: "mixed dtypes", options: { seed: 1, shards: 3, dtypes: ["BF16", "F32", "F16"] as const }, exact: 1e-2 }, // of f32 weights
  { name: "tied embeddings in bf16", options: { seed: 2, tied: true, dtypes: ["BF16"] as const }, exact: 5e-4 },
  {
    name: "odd sizes",
    options: { seed: 3, vocab: 131, hidden: 37, intermediate: 59, heads: 3, kvHeads: 1, headDim: 10 },
    exact: 5e-4,
  },
])("$name", ({ options, exact }) => {
  const prompts = [40, 3, 1].map((length, row) => Array.from({ length }, (_, i) => (i * 37 + row * 11) % 131))

  test.each([
    { matmul: "matrix", absolute: 2e-2 },
    { matmul: "matrix-exact", absolute: exact },
  ] as const)("logits by $matmul agree with float64 within $absolute", async ({ matmul, absolute }) => {
    using device = await emulating({ matmul, maxBinding: 64 * 1024 })
    const { model, reference } = await randomModel(options, device)
    using owned = model
    const { vocabSize } = owned.config
    const { logits } = await owned.run(prompts)
    for (const [row, ids] of prompts.entries()) {
      for (const [position, expected] of reference.forward(ids).logits.entries()) {
        const from = (row * 40 + position) * vocabSize
        expectClose(logits!.data.subarray(from, from + vocabSize), expected, { absolute, relative: 0 }, `${row} ${position}`)
      }
    }
    expect(owned.precision).toMatchObject({ matmul, unit: "16 x 16 x 16", weights: { underflowed: expect.any(Number) } })
    expect(owned.warnings[0]).toMatch(/^matrices are multiplied by matrix units of 16 x 16 x 16, sums in f32: weights in f16/)
    expect(owned.precision.weights!.rounded > 0).toBe("dtypes" in options && options.dtypes.length > 1)
  })
})

/** Keeps what was dispatched. */
class Listing extends Recorder {
  readonly labels: string[] = []

  override run<P>(kernel: Kernel<P>, buffers: readonly GpuBuffer[], p: P): void {
    this.labels.push(kernel.label)
    super.run(kernel, buffers, p)
  }
}

test("a feed-forward block takes five dispatches, with the bits of the eight that do each thing alone", async () => {
  using device = await emulating()
  const [tokens, hidden, width, epsilon] = [19, 70, 1030, 1e-5]
  const sizes = { up: { rows: 2 * width, columns: hidden }, down: { rows: hidden, columns: width } }
  const next = random(1)
  const upload = (rows: number, columns: number): GpuBuffer => device.upload("rows", padRows(rows, columns, next))
  const matrix = ({ rows, columns }: MatrixSize): Matrix => {
    const packed = packWeights(Array.from({ length: rows * columns }, next), rows, columns, "f16")
    const chunk = { buffer: device.upload("weights", packed), firstRow: 0, rows, type: "f16" as const, parts: [], scale: 1 / 4 }
    return { rows, columns, chunks: [chunk] }
  }
  const [up, down] = [matrix(sizes.up), matrix(sizes.down)]
  const [x, weight, gateUp, out] = [upload(tokens, hidden), upload(1, hidden), upload(tokens, 2 * width), upload(tokens, hidden)]
  const [room, wide] = [upload(tokens, hidden), upload(tokens, width)]
  using path = new MatrixPath(device, unit, 1, Object.values(sizes), tokens)

  const apart = new Listing(device, "one by one")
  apart.copy(x, out, x.size)
  apart.run(rmsNorm({ width: hidden, epsilon }), [x, weight, room], { tokens })
  path.multiply(apart, { kind: "plain", x: room }, up, gateUp, { tokens })
  apart.run(siluGate({ width }), [gateUp, wide], { tokens })
  path.multiply(apart, { kind: "plain", x: wide }, down, room, { tokens })
  apart.run(residual(), [out, room], { count: tokens * pad8(hidden) })
  apart.submit()
  const expected = await readFloats(device, out)

  const together = new Listing(device, "together")
  path.multiply(together, { kind: "norm", x, weight, epsilon }, up, gateUp, { tokens })
  path.multiply(together, { kind: "gate", gateUp }, down, x, { tokens, adds: true })
  together.submit()
  expect(await readFloats(device, x)).toEqual(expected)
  expect(apart.labels).toHaveLength(8)
  const product = "matmul matrix 32 x 64 x 1"
  expect(together.labels).toEqual(["norm to f16 x 1", product, "gate to f16 x 1", product, "add 2 splits"])
})

test("few tokens go by the f32 path, whose bits a scale leaves alone where no weight was rounded", async () => {
  const folder = checkpointFolder(makeCheckpoint({ seed: 5, dtypes: ["BF16"] }))
  using device = await emulating({ matmul: "matrix" })
  using plain = await Model.load(folder, { device, matmul: "f32" })
  using halves = await Model.load(folder, { device })
  expect(halves.precision.weights).toMatchObject({ underflowed: 0, rounded: 0 })
  const few = [[1, 2, 3, 4, 5, 6]]
  expect((await halves.run(few)).logits!.data).toEqual((await plain.run(few)).logits!.data)
  const many = [Array.from({ length: 20 }, (_, i) => i)]
  expect((await halves.run(many)).logits!.data).not.toEqual((await plain.run(many)).logits!.data)
})

test("a record of a model names a precision that is not its files'", async () => {
  const folder = checkpointFolder(makeCheckpoint({ seed: 1 }))
  using device = await emulating()
  using plain = await Model.load(folder, { device })
  using halves = await Model.load(folder, { device, matmul: "matrix-exact" })
  expect(describeFolder("random", plain)).not.toHaveProperty("precision")
  expect(describeFolder("random", halves)["precision"]).toEqual({
    matmul: "matrix-exact",
    unit: "16 x 16 x 16",
    weights: { values: expect.any(Number), underflowed: expect.any(Number), rounded: 0 },
  })
})

test("a disposed model leaves nothing allocated", async () => {
  using device = await emulating({ matmul: "matrix" })
  const model = await Model.load(checkpointFolder(makeCheckpoint({ seed: 1 })), { device })
  await model.score([{ ids: Array.from({ length: 30 }, (_, i) => i), from: 1 }])
  model.dispose()
  expect(device.allocated).toBeLessThan(16 * 1024)
})

test("the plan of memory counts f16 weights, a tied head's copy and the path's buffers", async () => {
  const made = makeCheckpoint({ seed: 2, tied: true, dtypes: ["F32"] })
  using device = await emulating()
  const folder = checkpointFolder(made)
  using plain = await Model.load(folder, { device })
  using halves = await Model.load(folder, { device, matmul: "matrix" })
  const { vocabSize, hiddenSize } = plain.config
  const norms = (2 * plain.config.layers + 1) * pad8(hiddenSize) * 4
  const embedding = vocabSize * pad8(hiddenSize) * 4
  const factors = plain.planMemory(1, 8).weights - norms - embedding
  expect(halves.planMemory(1, 8).weights - norms).toBe(embedding + pad8(vocabSize) * pad8(hiddenSize) * 2 + factors / 2)
  expect(halves.planMemory(1, 8).workspace).toBeGreaterThan(plain.planMemory(1, 8).workspace)
})

describe("the embedded model", () => {
  const texts = ["I am", "Once upon a time there was a small"]
  const coefficients = Array.from({ length: 8 }, (_, i) => i / 4)
  const { steering: fixture } = loadReference()
  const vector = { directions: new Map(fixture.layers.map((layer) => [layer, Float32Array.from(fixture.vector)])) }

  test.each([
    ["matrix", 2e-2],
    ["matrix-exact", 1e-3],
  ] as const)("by %s gives f32's greedy tokens in 95 of 100 rows, and its log-probs within %d nats", async (matmul, nats) => {
    const plain = await tinyTalkModel()
    using device = await emulating({ matmul })
    await using folder = await openFolder(tinyTalkFolder)
    using model = await Model.load(folder, { device })
    expect(model.precision.weights).toMatchObject({ underflowed: 0, rounded: 0 })
    const prompts = texts.flatMap((text) => coefficients.map(() => text))
    const steering = [{ vector, coefficient: texts.flatMap(() => coefficients) }]
    const options = { tokens: 3, steering, repetitionPenalty: 1.1 }
    const [expected, actual] = [await plain.complete(prompts, options), await model.complete(prompts, options)]
    const same = expected.filter(({ ids }, row) => ids.join() === actual[row]!.ids.join()).length
    expect(same / prompts.length).toBeGreaterThanOrEqual(0.95)
    const sequences = expected.map(({ ids }, row) => {
      const prompt = plain.encode(prompts[row]!)
      return { ids: [...prompt, ...ids], from: prompt.length }
    })
    const scores = [await plain.score(sequences, { steering }), await model.score(sequences, { steering })]
    const [a, b] = scores.map((each) => each.flatMap(({ logprobs }) => [...logprobs]))
    const off = a!.reduce((sum, x, i) => sum + Math.abs(x - b![i]!), 0) / a!.length
    expect(off).toBeLessThanOrEqual(nats)
    expect(off).toBeGreaterThan(0)
  })
})
