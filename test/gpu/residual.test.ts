import { expect, test } from "vitest"
import { residual } from "../../src/kernels/residual.ts"
import { testDevice } from "../helpers/device.ts"
import { readFloats, runKernel } from "../helpers/gpu.ts"
import { random } from "../helpers/numbers.ts"

const GUARD = 8 // numbers after the last that must stay

// The last needs a second row of workgroups.
test.each([8, 360, 1024 * 1024 + 24])("adds %i numbers and no more", async (count) => {
  const device = await testDevice()
  const next = random(count)
  const x = Float32Array.from({ length: count + GUARD }, next)
  const y = Float32Array.from({ length: count + GUARD }, next)
  using a = device.upload("x", x)
  using b = device.upload("y", y)
  runKernel(device, residual(), [a, b], { count })
  const result = await readFloats(device, a)
  const wrong = result.findIndex((sum, i) => sum !== (i < count ? Math.fround((x[i] as number) + (y[i] as number)) : x[i]))
  expect(wrong).toBe(-1)
})

test.each([65535 * 1024, 65536 * 1024, 2 ** 30])("%i numbers stay within the limits of a grid", (count) => {
  const [x, y, z] = residual().grid({ count })
  expect(Math.max(x, y, z)).toBeLessThanOrEqual(65535)
  expect(x * y * z * 256 * 4).toBeGreaterThanOrEqual(count)
})
