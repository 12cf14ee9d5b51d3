import { expect, test } from "vitest"
import { choose, NOT_A_NUMBER, type ChooseParameters } from "../../src/kernels/choose.ts"
import { testDevice } from "../helpers/device.ts"
import { random } from "../helpers/numbers.ts"
import { FIRST_POSITION, penalised, runChoice } from "../helpers/vocabulary.ts"

const greedy = (rows: number, penalty: number, step = 0, historyStride = 1): ChooseParameters => ({
  rows,
  step,
  historyStride,
  penalty,
})

/** The lowest id of the highest logit. */
function argmax(logits: Float64Array): number {
  let best = 0
  for (const [id, x] of logits.entries()) if (x > (logits[best] as number)) best = id
  return best
}

test.each([
  [1, 8, 1.1],
  [11, 8, 1.5],
  [519, 1, 1],
  [519, 16, 1.1],
  [4099, 256, 2],
])("chooses as the reference does: vocab %i, %i lanes, penalty %f", async (vocab, lanes, penalty) => {
  const next = random(vocab)
  const logits = Array.from({ length: 9 }, () => Float32Array.from({ length: vocab }, () => next() * 20))
  // Half of all tokens, and the best ones in particular, so that the penalty changes choices.
  const seen = logits.map((row) => [...row.keys()].filter((id) => (row[id] as number) > 19.5 || next() > 0))
  const result = await runChoice(await testDevice(), choose({ vocab, lanes }), { logits, seen }, vocab, [greedy(9, penalty)])
  const expected = logits.map((row, i) => argmax(penalised(row, seen[i] as number[], Math.fround(penalty))))
  expect(result.ids).toEqual(expected)
  expect(result.history).toEqual(expected.map((id) => [id]))
  expect(result.positions).toEqual(expected.map(() => FIRST_POSITION + 1))
  expect(result.seen).toEqual(seen.map((row, i) => [...new Set([...row, expected[i] as number])].sort((a, b) => a - b)))
})

const INF = Infinity
const VOCAB = 11 // rows shorter than that are filled up with -Infinity, so that all share one pipeline
test.each<[what: string, logits: number[], seen: number[], token: number]>([
  ["the lowest id on ties", [0, 3, 1, 3, 3, 2, 0, 0, 0, 3], [], 1],
  ["0 and -0 tie", [-1, -0, 0, -0], [], 1],
  ["negative logits", [-5, -2, -9, -2], [], 1],
  ["the penalty divides what is positive", [5, 4, 1], [0], 1],
  ["the penalty multiplies what is negative", [-2, -3, -9], [0], 1],
  ["a penalty that leaves the best the best", [9, 4, 1], [0], 0],
  ["-infinity never wins", [-INF, -INF, -3e38, -INF], [], 2],
  ["nor does a seen -infinity", [-INF, -1, -INF], [0, 2], 1],
  ["all -infinity", [-INF, -INF, -INF, -INF, -INF], [], 0],
  ["infinity wins", [3e38, INF, 0, INF], [], 1],
  ["even when seen", [3e38, INF, 0], [1], 1],
])("%s", async (_what, row, seen, token) => {
  const kernel = choose({ vocab: VOCAB, lanes: 8 })
  const rows = { logits: [[...row, ...Array<number>(VOCAB - row.length).fill(-INF)]], seen: [seen] }
  const result = await runChoice(await testDevice(), kernel, rows, VOCAB, [greedy(1, 2)])
  expect(result.ids).toEqual([token])
  expect(result.history).toEqual([[token]])
})

test("a row that holds NaN says so in its history, and the others do not notice", async () => {
  const vocab = 519
  const next = random(3)
  const logits = Array.from({ length: 5 }, () => Float32Array.from({ length: vocab }, next))
  const best = logits.map((row) => argmax(Float64Array.from(row)))
  const negativeNan = new Float32Array(new Uint32Array([0xffc00001]).buffer)
  logits[1]![0] = NaN
  logits[2]!.set(negativeNan, vocab - 1)
  logits[3]![200] = NaN
  const seen = [[], [], [], [200], []]
  const result = await runChoice(await testDevice(), choose({ vocab, lanes: 16 }), { logits, seen }, vocab, [greedy(5, 1.1)])
  const bad = [NOT_A_NUMBER]
  expect(result.history).toEqual([[best[0]], bad, bad, bad, [best[4]]])
  expect(result.ids).toEqual([best[0], 0, 0, 0, best[4]])
  expect(result.seen).toEqual([[best[0]], [], [], [200], [best[4]]])
})

test("steps fill the history, and each step's token counts as seen in the next", async () => {
  const logits = [
    [8, 6, 5, 0, 0, 0, 0, 0, 0, 0, 0],
    [-9, -8, -1, -2, -9, -9, -9, -9, -9, -9, -3],
  ]
  const steps = [0, 1, 2].map((step) => greedy(2, 4, step, 5))
  const result = await runChoice(await testDevice(), choose({ vocab: VOCAB, lanes: 8 }), { logits }, VOCAB, steps)
  expect(result.history).toEqual([
    [0, 1, 2, 0, 0],
    [2, 3, 10, 0, 0],
  ])
  expect(result.ids).toEqual([2, 10])
  expect(result.positions).toEqual([FIRST_POSITION + 3, FIRST_POSITION + 3])
})
