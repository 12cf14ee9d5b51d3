import { beforeAll, expect, test } from "vitest"
import type { Device } from "../../src/engine/device.ts"
import { Recorder } from "../../src/engine/recorder.ts"
import { halfWeights, largestWeight, scaleExponent } from "../../src/kernels/half-weights.ts"
import type { WeightType } from "../../src/kernels/weights.ts"
import { testDevice } from "../helpers/device.ts"
import { packWeights, random, roundTo, unpackHalves } from "../helpers/numbers.ts"

let device: Device
beforeAll(async () => {
  device = await testDevice()
})

/** The weights as f16, the exponent of their scale, and how many lost something. */
async function convert(packed: Uint32Array<ArrayBuffer>, type: WeightType) {
  const words = type === "f32" ? packed.length / 2 : packed.length
  using weights = device.upload("weights", packed)
  using facts = device.createBuffer("facts", 12)
  using out = device.createBuffer("halves", words * 4)
  const recorder = new Recorder(device, "converting")
  recorder.run(largestWeight({ type }), [weights, facts], { words })
  recorder.run(halfWeights({ type }), [weights, facts, out], { words })
  recorder.submit()
  const [largest, underflowed, rounded] = new Uint32Array(await device.read(facts, 12))
  const halves = unpackHalves(new Uint32Array(await device.read(out, words * 4)))
  return { halves, exponent: scaleExponent(largest!), underflowed, rounded }
}

test.each(["f32", "f16", "bf16"] as const)("%s weights become the nearest f16, scaled", async (type) => {
  const next = random(7)
  const rows = 37
  const columns = 40
  // Over 40 binades: some fall below f16's subnormals.
  const values = Array.from({ length: rows * columns }, (_, i) => roundTo(type, next() * 3 * 2 ** -(i % 40)))
  const expectedExponent = 14 - Math.floor(Math.log2(Math.max(...values.map(Math.abs))))
  const { halves, exponent, underflowed, rounded } = await convert(packWeights(values, rows, columns, type), type)
  expect(exponent).toBe(expectedExponent)
  const scaled = values.map((x) => x * 2 ** exponent)
  const expected = scaled.map((x) => roundTo("f16", x))
  expect(halves.slice(0, values.length)).toEqual(expected.map((x) => (x === 0 ? expect.closeTo(0) : x)))
  const lost = scaled.map((x, i) => x !== expected[i])
  expect(underflowed).toBe(lost.filter((each, i) => each && Math.abs(scaled[i]!) < 2 ** -14).length)
  expect(rounded).toBe(lost.filter((each, i) => each && Math.abs(scaled[i]!) >= 2 ** -14).length)
  if (type === "f32") expect(rounded).toBeGreaterThan(0)
  else expect(rounded).toBe(0)
})

test("bf16 within 28 binades lose nothing, whatever their size", async () => {
  for (const size of [2 ** 60, 1, 2 ** -70]) {
    const next = random(3)
    const values = Array.from({ length: 80 }, (_, i) => roundTo("bf16", (1.5 + next() / 4) * size * 2 ** -(i % 28)))
    const { halves, exponent, underflowed, rounded } = await convert(packWeights(values, 10, 8, "bf16"), "bf16")
    expect({ underflowed, rounded }).toEqual({ underflowed: 0, rounded: 0 })
    expect(halves.slice(0, 80).map((x) => x * 2 ** -exponent)).toEqual(values)
  }
})

test("NaN and infinity stay what they are and do not scale the others; zeros stay zero", async () => {
  const values = [1.5, NaN, Infinity, -Infinity, 0, -2, 2 ** -30, 0]
  const words = Float32Array.from(values)
  const { halves, exponent, underflowed } = await convert(new Uint32Array(words.buffer), "f32")
  expect(exponent).toBe(13)
  expect(halves).toEqual([1.5 * 2 ** 13, NaN, Infinity, -Infinity, 0, -(2 ** 14), 2 ** -17, 0])
  expect(underflowed).toBe(0)
  const none = await convert(new Uint32Array(8), "f32")
  expect(none).toEqual({ halves: Array(8).fill(0), exponent: 0, underflowed: 0, rounded: 0 })
})
