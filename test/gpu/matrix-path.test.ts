import { expect, test } from "vitest"
import type { Device } from "../../src/engine/device.ts"
import { InputError } from "../../src/engine/errors.ts"
import { probeMatrix } from "../../src/engine/matrix-probe.ts"
import { openDevice } from "../../src/node/dawn.ts"
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
  ["forgets the last columns", "for (var k = 0u; k < DEPTH + none(); k += MATRIX_K)", "for (var k = 0u; k < DEPTH - MATRIX_K; k += MATRIX_K)"],
  ["mixes up two outputs", "results[at + i] =", "results[at + (i ^ 1u)] ="],
  ["computes nothing", "results[at + i] = (*sums)[i / 4][i % 4]", "results[at + i] = 0"],
])("the probe finds a matrix unit that %s", async (_, right, wrong) => {
  const broken = { ...unit, emulate: (code: string) => unit.emulate!(code).replace(right, wrong) }
  using device = await emulating({ matrix: { unit: broken } })
  expect(await probeMatrix(device, "matrix")).toEqual({ reason: expect.stringMatching(/^matrix units that compute .* where .* is right/) })
  await device.settled()
})
