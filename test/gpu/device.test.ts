import { expect, test } from "vitest"
import { addBias } from "../../src/kernels/add-bias.ts"
import { testDevice } from "../helpers/device.ts"
import { heapInUse } from "../helpers/heap.ts"

test("a buffer gives back what was written", async () => {
  const device = await testDevice()
  const data = Float32Array.from({ length: 37 }, (_, i) => i / 3)
  using buffer = device.upload("numbers", data)
  expect(new Float32Array(await device.read(buffer, data.byteLength))).toEqual(data)
})

test("a weight remembers no buffers that it was bound with and that are gone", async () => {
  const device = await testDevice()
  using weight = device.createBuffer("weight", 32)
  const compiled = device.compiled(addBias({ width: 8, rectify: false }))
  const parameters = Array.from({ length: 1000 }, (_, i) => i)
  const bindMany = async (count: number): Promise<number> => {
    for (let i = 0; i < count; i++) {
      using row = device.createBuffer("row", 32)
      device.bindGroup(compiled, "test", [row, weight], parameters)
      if (i % 100 === 0) await device.settled()
    }
    await device.settled()
    return heapInUse()
  }
  const before = await bindMany(100)
  // Each would hold its key, 4 kB with these parameters.
  expect((await bindMany(1000)) - before).toBeLessThan(1e6)
})
