import { expect, test } from "vitest"
import { create } from "webgpu"
import { DeviceLostError, InputError, NotFiniteError, OutOfMemoryError } from "../../src/engine/errors.ts"
import { Device } from "../../src/engine/device.ts"
import { Model } from "../../src/engine/model.ts"
import { openDevice } from "../../src/node/dawn.ts"
import { testDevice } from "../helpers/device.ts"
import { checkpointFolder, encodeSafetensors, encodeValues, makeCheckpoint } from "../reference/checkpoint.ts"

test("progress counts every byte of the model, in bounded pieces", async () => {
  const made = makeCheckpoint({ seed: 1, shards: 3, dtypes: ["BF16", "F32"] })
  const folder = checkpointFolder(made)
  const seen: number[] = []
  let total = 0
  using model = await Model.load(folder, {
    device: await testDevice(),
    onProgress: (progress) => {
      seen.push(progress.done)
      total = progress.total
    },
  })
  expect(seen.at(-1)).toBe(total)
  expect(seen).toEqual([...seen].sort((a, b) => a - b))
  expect(model.warnings).toEqual([])
})

test("loading stops at a signal and leaves nothing allocated", async () => {
  const device = await testDevice()
  const before = device.allocated
  const controller = new AbortController()
  const loading = Model.load(checkpointFolder(makeCheckpoint({ seed: 1 })), {
    device,
    signal: controller.signal,
    onProgress: () => controller.abort(),
  })
  await expect(loading).rejects.toThrow(/abort/i)
  expect(device.allocated).toBe(before)
})

test("a disposed model leaves nothing allocated", async () => {
  using device = await openDevice({ debug: true })
  const model = await Model.load(checkpointFolder(makeCheckpoint({ seed: 1 })), { device })
  await model.complete([[1, 2, 3]], { tokens: 3, logprobs: true })
  await model.score([{ ids: [1, 2, 3], from: 1 }])
  await model.run([[1, 2, 3]], { capture: ["*"] })
  model.dispose()
  // What remains are the small uniform buffers of the device itself.
  expect(device.allocated).toBeLessThan(16 * 1024)
})

test.each([
  { name: "model.layers.1.self_attn.k_proj.weight", value: Number.NaN },
  { name: "model.layers.0.mlp.down_proj.weight", value: Infinity },
  { name: "model.norm.weight", value: Number.NaN },
])("$value in $name is named when it reaches the logits", async ({ name, value }) => {
  const made = makeCheckpoint({ seed: 2, layers: 2, dtypes: ["BF16"] })
  const tensors = [...made.tensors].map(([tensor, { shape, data }]) => {
    const values = data.slice()
    if (tensor === name) values[7] = value
    return { name: tensor, dtype: "BF16" as const, shape, bytes: encodeValues("BF16", values) }
  })
  made.files.set("model.safetensors", encodeSafetensors(tensors))
  using model = await Model.load(checkpointFolder(made), { device: await testDevice() })
  const expected = new RegExp(`these weights hold NaN or infinity: ${name}$`)
  await expect(model.complete([[3, 4, 5]], { tokens: 2 })).rejects.toThrow(expected)
  await expect(model.complete([[3, 4, 5]], { tokens: 2 })).rejects.toBeInstanceOf(NotFiniteError)
  await expect(model.score([{ ids: [3, 4, 5], from: 1 }])).rejects.toThrow(expected)
})

test("an allocation that fails says what was being allocated", async () => {
  const device = await testDevice()
  expect(() => device.createBuffer("a buffer larger than any", 2 ** 50)).toThrow(OutOfMemoryError)
  expect(() => device.createBuffer("a buffer larger than any", 2 ** 50)).toThrow(/^a buffer larger than any: \d+ bytes are more/)
})

test("a device that goes away is reported with what was being done", async () => {
  const device = await openDevice()
  const model = await Model.load(checkpointFolder(makeCheckpoint({ seed: 3, layers: 1 })), { device })
  const generate = async (): Promise<void> => {
    for await (const _ of model.generateTokens([1, 2], { tokens: 20, endIds: [] })) device.gpu.destroy()
  }
  const failed = generate()
  await expect(failed).rejects.toBeInstanceOf(DeviceLostError)
  await expect(failed).rejects.toThrow(/the device was lost while generating token/)
})

test("the null backend is refused by name", async () => {
  const gpu = create(["backend=null"])
  const adapter = await gpu.requestAdapter()
  await expect(Device.from(adapter!)).rejects.toThrow(/null backend, which computes nothing/)
})

test("an adapter of no such name is refused with the names that there are", async () => {
  const opening = openDevice({ adapter: "no such card" })
  await expect(opening).rejects.toThrow(InputError)
  await expect(opening).rejects.toThrow(
    /^--adapter: expected an adapter whose name holds «no such card», found «.+»; take one of/,
  )
})
