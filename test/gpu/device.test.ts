import { expect, test } from "vitest"
import { testDevice } from "../helpers/device.ts"

test("a buffer gives back what was written", async () => {
  const device = await testDevice()
  const data = Float32Array.from({ length: 37 }, (_, i) => i / 3)
  using buffer = device.upload("numbers", data)
  expect(new Float32Array(await device.read(buffer, data.byteLength))).toEqual(data)
})
