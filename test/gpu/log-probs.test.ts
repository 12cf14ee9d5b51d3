import { expect, test } from "vitest"
import { logProbs } from "../../src/kernels/log-probs.ts"
import { testDevice } from "../helpers/device.ts"
import { runKernel } from "../helpers/gpu.ts"
import { expectClose, random } from "../helpers/numbers.ts"
import { padded } from "../helpers/vocabulary.ts"

const NONE = 0xffffffff

/** The kernel's four numbers for each row, written from row `offset` on. */
async function run(rows: readonly ArrayLike<number>[], targets: number[], lanes: number, offset = 0): Promise<Float32Array> {
  const device = await testDevice()
  const vocab = rows[0]!.length
  using logits = device.upload("logits", padded(rows, vocab))
  using wanted = device.upload("targets", Uint32Array.from([...Array<number>(offset).fill(0), ...targets]))
  using out = device.upload("out", new Float32Array((offset + rows.length) * 4).fill(-7))
  runKernel(device, logProbs({ vocab, lanes }), [logits, wanted, out], { count: rows.length, offset })
  return new Float32Array(await device.read(out))
}

function reference(logits: ArrayLike<number>, target: number): number[] {
  const x = Float64Array.from(logits)
  const top = x.reduce((a, b) => Math.max(a, b))
  const logSumExp = top + Math.log(x.reduce((sum, each) => sum + Math.exp(each - top), 0))
  const logSoftmax = x.map((each) => each - logSumExp)
  const mean = logSoftmax.reduce((a, b) => a + b) / x.length
  const entropy = -logSoftmax.reduce((sum, l) => sum + (l === -Infinity ? 0 : Math.exp(l) * l), 0)
  return [logSoftmax[target] ?? 0, mean, entropy, logSumExp]
}

const ROWS: readonly [what: string, logit: (next: () => number, id: number) => number][] = [
  ["spread", (next) => next() * 25 + 5],
  ["narrow", (next) => 12 + next() * 0.1],
  ["nearly all equal, where long sums would drift", (_next, id) => (id === 0 ? 13 : 12.3)],
  ["ascending, where the highest moves all the time", (_next, id) => -20 + id / 4000],
  ["one token ahead", (next, id) => (id === 3 ? 30 : next() - 19)],
]

test.each([
  [5, 8],
  [519, 16],
  [4096, 1],
  [128256, 16],
  [128256, 256],
])("agrees with float64 to 1e-5: vocab %i, %i lanes", async (vocab, lanes) => {
  const next = random(vocab)
  const rows = ROWS.map(([, logit]) => Float32Array.from({ length: vocab }, (_, id) => logit(next, id)))
  const targets = [vocab - 1, 0, 3, 1, 3]
  const got = await run(rows, targets, lanes)
  for (const [i, [what]] of ROWS.entries()) {
    const expected = reference(rows[i]!, targets[i]!)
    expectClose(got.subarray(i * 4, i * 4 + 4), expected, { absolute: 1e-5, relative: 0 }, what)
  }
})

test("the offset moves targets and results, and rows before it are left alone", async () => {
  const rows = [
    [1, 2, 3, 4, 5],
    [0, 0, 9, 0, 0],
  ]
  const got = await run(rows, [4, 2], 8, 3)
  expect([...got.subarray(0, 12)]).toEqual(Array(12).fill(-7))
  expectClose(got.subarray(12), [...reference(rows[0]!, 4), ...reference(rows[1]!, 2)], { absolute: 1e-5, relative: 0 })
})

test.each([[5], [8], [NONE]])("a target outside the vocabulary of 5 gives 0: %i", async (target) => {
  const row = [1, 2, 3, 4, 5]
  expectClose(await run([row], [target], 8), reference(row, target), { absolute: 1e-5, relative: 0 })
})

test.each([[NaN], [Infinity]])("%f among the logits gives NaN", async (bad) => {
  expect([...(await run([[1, 2, bad, 4, 5]], [1], 8))]).toEqual([NaN, NaN, NaN, NaN])
})

test.each([[0], [1]])("a logit of -Infinity has the probability 0: target %i", async (target) => {
  const row = [-Infinity, 1, 3, 2, 2]
  const got = await run([row], [target], 8)
  expect([...got]).toEqual(reference(row, target).map((x) => expect.closeTo(x, 5)))
})

test("a row gives the same bits whatever the others hold", async () => {
  const vocab = 519
  const next = random(8)
  const [row, other] = [0, 1].map(() => Float32Array.from({ length: vocab }, () => next() * 20)) as [Float32Array, Float32Array]
  const alone = await run([row], [17], 16)
  const together = await run([other, new Float32Array(vocab).fill(NaN), row], [1, 2, 17], 16)
  expect(new Uint32Array(together.buffer, 32)).toEqual(new Uint32Array(alone.buffer))
})
