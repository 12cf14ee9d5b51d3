import { expect, test } from "vitest"
import { findBad } from "../../src/kernels/find-bad.ts"
import type { WeightType } from "../../src/kernels/weights.ts"
import { testDevice } from "../helpers/device.ts"
import { runKernel } from "../helpers/gpu.ts"

async function found(type: WeightType, data: Uint32Array, words = data.length): Promise<number> {
  const device = await testDevice()
  using weights = device.upload("weights", data)
  using result = device.upload("found", new Uint32Array([0]))
  runKernel(device, findBad({ type }), [weights, result], { words })
  return new Uint32Array(await device.read(result))[0]!
}

// The bits of one weight: the largest numbers and the smallest, then what is no number.
const GOOD: Record<WeightType, readonly number[]> = {
  f32: [0x7f7fffff, 0xff7fffff, 0x00000001, 0x80000000],
  f16: [0x7bff, 0xfbff, 0x0001, 0x8000],
  bf16: [0x7f7f, 0xff7f, 0x0001, 0x8000],
}
const BAD: Record<WeightType, readonly number[]> = {
  f32: [0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff],
  f16: [0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xffff],
  bf16: [0x7f80, 0xff80, 0x7fc0, 0x7f81, 0xffff],
}
const TYPES = ["f32", "f16", "bf16"] as const

/** 1003 words of good weights, with one weight put at an index. */
function weightsWith(type: WeightType, bits: number, index: number): Uint32Array {
  const length = 1003
  const data = type === "f32" ? new Uint32Array(length) : new Uint16Array(length * 2)
  data.forEach((_, i) => (data[i] = GOOD[type][i % 4]!))
  data[index] = bits
  return new Uint32Array(data.buffer)
}

test.each(TYPES)("the largest and smallest %s are good", async (type) => {
  expect(await found(type, weightsWith(type, 0, 0))).toBe(0)
})

test.each(TYPES.flatMap((type) => BAD[type].map((bits) => [type, bits] as const)))("finds %s %i", async (type, bits) => {
  for (const index of [0, 1, 517, type === "f32" ? 1002 : 2005]) {
    expect(await found(type, weightsWith(type, bits, index)), `at ${index}`).toBe(1)
  }
})

test("looks at `words` words and no further", async () => {
  const data = weightsWith("f32", 0x7f800000, 700)
  expect(await found("f32", data, 700)).toBe(0)
  expect(await found("f32", data, 701)).toBe(1)
})

test("strides over more than one weight per lane", async () => {
  const data = new Uint32Array(2 ** 21 + 3)
  expect(await found("f16", data)).toBe(0)
  for (const index of [2 ** 20 - 1, 2 ** 20, data.length - 1]) {
    data[index] = 0x7c000000
    expect(await found("f16", data), `at ${index}`).toBe(1)
    data[index] = 0
  }
})
