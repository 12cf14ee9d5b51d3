import { expect, test } from "vitest"
import { divergence } from "../../src/kernels/divergence.ts"
import { logProbs } from "../../src/kernels/log-probs.ts"
import { testDevice } from "../helpers/device.ts"
import { runKernel } from "../helpers/gpu.ts"
import { expectClose, random } from "../helpers/numbers.ts"
import { padded } from "../helpers/vocabulary.ts"

async function run(
  a: readonly ArrayLike<number>[],
  b: readonly ArrayLike<number>[],
  lanes: number,
  offset: number,
): Promise<Float32Array> {
  const device = await testDevice()
  const vocab = a[0]!.length
  const count = a.length
  using targets = device.upload("targets", new Uint32Array(offset + count))
  using out = device.createBuffer("out", (offset + count) * 4)
  const sides = [a, b].map((rows) => ({
    logits: device.upload("logits", padded(rows, vocab)),
    scores: device.createBuffer("scores", (offset + count) * 16),
  }))
  for (const { logits, scores } of sides)
    runKernel(device, logProbs({ vocab, lanes }), [logits, targets, scores], { count, offset })
  const [first, second] = sides as [(typeof sides)[0], (typeof sides)[0]]
  const buffers = [first.logits, second.logits, first.scores, second.scores, out]
  runKernel(device, divergence({ vocab, lanes }), buffers, { count, offset })
  const result = new Float32Array(await device.read(out)).subarray(offset, offset + count)
  for (const { logits, scores } of sides) for (const buffer of [logits, scores]) buffer.dispose()
  return result
}

function reference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const logSoftmax = (x: ArrayLike<number>): Float64Array => {
    const values = Float64Array.from(x)
    const top = values.reduce((m, v) => Math.max(m, v))
    const sum = values.reduce((s, v) => s + Math.exp(v - top), 0)
    return values.map((v) => v - top - Math.log(sum))
  }
  const [p, q] = [logSoftmax(a), logSoftmax(b)]
  return q.reduce((sum, logQ, i) => sum + (logQ === -Infinity ? 0 : Math.exp(logQ) * (logQ - p[i]!)), 0)
}

test.each([
  [5, 8],
  [519, 16],
  [4096, 8],
  [128256, 256],
])("agrees with float64 to 1e-4: vocab %i, %i lanes", async (vocab, lanes) => {
  const next = random(vocab)
  const row = (scale: number): Float32Array => Float32Array.from({ length: vocab }, () => scale * next())
  const base = row(12)
  const a = [row(10), base, base, row(1), row(0.01)]
  const b = [row(10), base, base.map((x) => x + 0.1 * next()), row(20), row(0.01)]
  const expected = a.map((one, i) => reference(one, b[i]!))
  expectClose(await run(a, b, lanes, 3), expected, { absolute: 1e-4, relative: 1e-5 })
  expect(expected[1]).toBeCloseTo(0, 10)
})

test("a token that b rules out counts nothing", async () => {
  const a = [1, 2, 3, 4, 5]
  const b = [1, 2, -Infinity, 4, 5]
  expectClose(await run([a], [b], 8, 0), [reference(a, b)], { absolute: 1e-5, relative: 0 })
})
