import { describe, expect, test } from "vitest"
import { bufferSource } from "../../src/engine/bytes.ts"
import { InputError } from "../../src/engine/errors.ts"
import { encodeSafetensors, readSafetensors } from "../../src/engine/safetensors.ts"
import { SteeringVector } from "../../src/steering/vector.ts"

const metadata = { modelHint: "tiny-talk", method: "mean", createdFrom: "bridge.jsonl" }
const vector = new SteeringVector(
  [
    [10, Float32Array.of(3, 4)],
    [2, Float32Array.of(0.1, -1)],
  ],
  metadata,
)

/** A safetensors file with one tensor of any dtype, byte by byte. */
function file(name: string, dtype: string, shape: number[], data: ArrayBufferView): Uint8Array {
  const header = new TextEncoder().encode(JSON.stringify({ [name]: { dtype, shape, data_offsets: [0, data.byteLength] } }))
  const bytes = new Uint8Array(8 + header.length + data.byteLength)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true)
  bytes.set(header, 8)
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 8 + header.length)
  return bytes
}

const read = (bytes: Uint8Array): Promise<SteeringVector> => SteeringVector.fromSafetensors(bufferSource("v.safetensors", bytes))

test("layers ascend by number, width and lengths are the directions'", () => {
  expect(vector.layers).toEqual([2, 10])
  expect(vector.width).toBe(2)
  expect(vector.norms().get(10)).toBe(5)
  expect(vector.norms().get(2)).toBeCloseTo(Math.sqrt(1.01), 6)
})

test("what was passed in can change without changing the vector", () => {
  const direction = Float32Array.of(1, 2)
  const source = { modelHint: "a", method: "mean" }
  const copy = new SteeringVector([[0, direction]], source)
  direction[0] = 9
  source.modelHint = "b"
  expect([...(copy.directions.get(0) ?? [])]).toEqual([1, 2])
  expect(copy.metadata.modelHint).toBe("a")
})

test("select keeps the layers asked for and the metadata", () => {
  const selected = vector.select([10, 10])
  expect(selected.layers).toEqual([10])
  expect(selected.directions.get(10)).toEqual(vector.directions.get(10))
  expect(selected.metadata).toEqual(metadata)
  expect(() => vector.select([2, 3, 4])).toThrow("layers: expected some of the vector's layers 2, 10, found 3, 4")
  expect(() => vector.select([])).toThrow(InputError)
})

test("checkAgainst names what does not fit the model", () => {
  expect(() => vector.checkAgainst({ layers: 11, hiddenSize: 2 })).not.toThrow()
  const refused: [{ layers: number; hiddenSize: number }, RegExp][] = [
    [{ layers: 11, hiddenSize: 3 }, /^vector: expected width 3.*found 2;.*tiny-talk/],
    [{ layers: 10, hiddenSize: 2 }, /^vector: expected layers 0 to 9.*found 10;/],
    [{ layers: 2, hiddenSize: 2 }, /found 2, 10;/],
  ]
  for (const [model, message] of refused) {
    expect(() => vector.checkAgainst(model)).toThrow(InputError)
    expect(() => vector.checkAgainst(model)).toThrow(message)
  }
})

test.each([
  ["tiny-talk", "tiny-talk", 0],
  ["tiny-talk", "Llama-3.2-1B", 1],
  ["unknown", "Llama-3.2-1B", 0],
  ["llama", "Llama-3.2-1B", 0],
  ["Llama-3.2-1B, tiny-talk", "tiny-talk", 1],
])("a vector made with %s warns against the model %s: %i times", (modelHint, name, count) => {
  const warnings = new SteeringVector([[1, Float32Array.of(1)]], { modelHint, method: "mean" }).warningsAgainst({ name })
  expect(warnings).toHaveLength(count)
  for (const warning of warnings) expect(warning).toContain(`made with "${modelHint}", the model is "${name}"`)
})

describe("safetensors", () => {
  test("a file read back is the same vector, bit for bit", async () => {
    const back = await read(vector.toSafetensors())
    expect(back.directions).toEqual(vector.directions)
    expect(back.metadata).toEqual(metadata)
    expect(back.toSafetensors()).toEqual(vector.toSafetensors())
  })

  test("names, shapes and metadata are those of the format", async () => {
    const { metadata: written, tensors } = await readSafetensors(bufferSource("v", vector.toSafetensors()))
    expect(written).toEqual({ model_hint: "tiny-talk", method: "mean", layers: "2,10", created_from: "bridge.jsonl" })
    const entries = [...tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape }))
    expect(entries).toContainEqual({ name: "direction.2", dtype: "F32", shape: [2] })
    expect(entries).toContainEqual({ name: "direction.10", dtype: "F32", shape: [2] })
    expect(entries).toHaveLength(2)
  })

  test("absent metadata reads unknown, and createdFrom stays absent", async () => {
    const plain = await read(file("direction.0", "F32", [1], Float32Array.of(1)))
    expect(plain.metadata).toStrictEqual({ modelHint: "unknown", method: "unknown" })
    const without = new SteeringVector([[0, Float32Array.of(1)]], { modelHint: "m", method: "mean" })
    expect((await read(without.toSafetensors())).metadata).toStrictEqual({ modelHint: "m", method: "mean" })
  })

  test.each([
    ["F16", Uint16Array.of(0x3c00, 0xc100)],
    ["BF16", Uint16Array.of(0x3f80, 0xc020)],
  ])("%s is read", async (dtype, bits) => {
    const read16 = await read(file("direction.7", dtype, [2], bits))
    expect(read16.directions).toEqual(new Map([[7, Float32Array.of(1, -2.5)]]))
  })

  const ones = Float32Array.of(1, 1)
  test.each<[string, Uint8Array, RegExp]>([
    ["no tensors", encodeSafetensors(new Map()), /^v\.safetensors: .*direction\.N.*none/],
    ["another tensor", file("W_dec", "F32", [2], ones), /^v\.safetensors, tensor W_dec: /],
    ["a layer that is no number", file("direction.x", "F32", [2], ones), /^v\.safetensors, tensor direction\.x: /],
    ["a layer with a leading zero", file("direction.01", "F32", [2], ones), /^v\.safetensors, tensor direction\.01: /],
    ["two dimensions", file("direction.1", "F32", [1, 2], ones), /tensor direction\.1: .*one dimension, found \[1, 2\]$/],
    ["no dimension", file("direction.1", "F32", [], Float32Array.of(1)), /one dimension, found \[\]$/],
    ["no numbers", file("direction.1", "F32", [0], new Float32Array()), /tensor direction\.1: .*at least one number/],
    ["F64", file("direction.1", "F64", [1], Float64Array.of(1)), /tensor direction\.1: .*found F64$/],
    ["NaN", file("direction.1", "F32", [2], Float32Array.of(1, NaN)), /direction\.1: .*found NaN at index 1$/],
    ["infinity", file("direction.1", "F16", [1], Uint16Array.of(0x7c00)), /direction\.1: .*found Infinity at index 0$/],
    [
      "differing widths",
      encodeSafetensors(
        new Map([
          ["direction.1", { shape: [2], data: ones }],
          ["direction.2", { shape: [1], data: Float32Array.of(1) }],
        ]),
        {},
      ),
      /tensor direction\.2: expected width 2, as direction\.1 has, found 1$/,
    ],
    ["a truncated file", vector.toSafetensors().slice(0, -1), /^v\.safetensors/],
  ])("%s is refused", async (_, bytes, message) => {
    await expect(read(bytes)).rejects.toThrow(InputError)
    await expect(read(bytes)).rejects.toThrow(message)
  })
})

test("a vector made in a program is checked the same way", () => {
  const one = Float32Array.of(1)
  const refused: [[number, Float32Array][], RegExp][] = [
    [[], /found none$/],
    [[[-1, one]], /a layer from 0, found -1$/],
    [[[1.5, one]], /a layer from 0, found 1\.5$/],
    [
      [
        [1, one],
        [1, one],
      ],
      /one direction, found several$/,
    ],
  ]
  for (const [directions, message] of refused) expect(() => new SteeringVector(directions, metadata)).toThrow(message)
})
