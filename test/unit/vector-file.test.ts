import { describe, expect, test } from "vitest"
import { bufferSource } from "../../src/engine/bytes.ts"
import { InputError } from "../../src/engine/errors.ts"
import { encodeVector, readVector, vectorFormat } from "../../src/steering/vector-file.ts"
import { SteeringVector, type VectorMetadata } from "../../src/steering/vector.ts"

const read = (name: string, bytes: Uint8Array): Promise<SteeringVector> => readVector(bufferSource(name, bytes))

/** Numbers of every kind of bit pattern but those that are not finite. */
function randomDirection(width: number, seed: number): Float32Array {
  const bits = new Uint32Array(width)
  let state = seed
  for (let i = 0; i < width; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bits[i] = (state & 0x7f800000) === 0x7f800000 ? state & 0x807fffff : state
  }
  const special = Uint32Array.of(0x80000000, 0, 1, 0x80000001, 0x007fffff, 0x7f7fffff, 0xff7fffff)
  bits.set(special.subarray(0, width))
  return new Float32Array(bits.buffer)
}

const bitsOf = (vector: SteeringVector): [number, Uint32Array][] =>
  [...vector.directions].map(([layer, direction]) => [layer, new Uint32Array(direction.slice().buffer)])

test.each([
  ["a.safetensors", "safetensors"],
  ["folder.gguf/a.SafeTensors", "safetensors"],
  ["a.gguf", "gguf"],
  ["A.GGUF", "gguf"],
])("%s is %s", (path, format) => {
  expect(vectorFormat(path)).toBe(format)
})

test.each(["a.bin", "gguf", "a.gguf.bak", ""])("the name «%s» is refused", (path) => {
  expect(() => vectorFormat(path)).toThrow(InputError)
  expect(() => vectorFormat(path)).toThrow("expected a name that ends in .safetensors or .gguf, found another")
})

describe("conversion", () => {
  const metadatas: readonly VectorMetadata[] = [
    { modelHint: "tiny-talk", method: "mean" },
    { modelHint: "", method: "", createdFrom: "" },
    { modelHint: "模型 \u0000", method: 'quoted "so"\n', createdFrom: "1 * (a) + -0.5 * (b) «ü»" },
  ]
  const shapes: readonly [layers: number[], width: number][] = [
    [[1], 1],
    [[2, 3, 11], 7],
    [[9, 1, 999], 8],
    [[5, 4], 515],
  ]
  const cases = shapes.flatMap(([layers, width]) => metadatas.map((metadata) => ({ layers, width, metadata })))

  test.each(cases)("both ways keeps every bit of layers $layers, width $width", async ({ layers, width, metadata }) => {
    const vector = new SteeringVector(
      layers.map((layer) => [layer, randomDirection(width, layer)]),
      metadata,
    )
    const gguf = encodeVector(vector, "v.gguf")
    const safetensors = encodeVector(vector, "v.safetensors")
    const fromGguf = await read("v.gguf", gguf)
    const fromSafetensors = await read("v.safetensors", safetensors)
    for (const back of [fromGguf, fromSafetensors]) {
      expect(bitsOf(back)).toEqual(bitsOf(vector))
      expect(back.metadata).toStrictEqual(metadata)
    }
    expect(encodeVector(fromGguf, "v.safetensors")).toEqual(safetensors)
    expect(encodeVector(fromSafetensors, "v.gguf")).toEqual(gguf)
  })

  test("of a vector with layer 0 to GGUF is refused, to safetensors it is not", async () => {
    const vector = new SteeringVector(
      [
        [0, Float32Array.of(1)],
        [1, Float32Array.of(1)],
      ],
      { modelHint: "m", method: "mean" },
    )
    expect(() => encodeVector(vector, "v.gguf")).toThrow(InputError)
    expect(() => encodeVector(vector, "v.gguf")).toThrow(/^vector: expected layers from 1, .*found a direction for layer 0; /)
    expect((await read("v", encodeVector(vector, "v.safetensors"))).layers).toEqual([0, 1])
    expect((await read("v", encodeVector(vector.select([1]), "v.gguf"))).layers).toEqual([1])
  })
})

test("files are told apart by their bytes, not their names", async () => {
  const vector = new SteeringVector([[1, Float32Array.of(1, 2)]], { modelHint: "m", method: "mean" })
  expect((await read("v.safetensors", vector.toGguf())).directions).toEqual(vector.directions)
  expect((await read("v.gguf", vector.toSafetensors())).directions).toEqual(vector.directions)
})

test.each<[string, Uint8Array, RegExp]>([
  ["an empty file", new Uint8Array(), /^v\.gguf: expected a steering vector, safetensors or GGUF, found an empty file$/],
  ["a short file", new TextEncoder().encode("GG"), /found another kind of file$/],
  ["a text", new TextEncoder().encode("positive and negative"), /found another kind of file$/],
  ["a zip archive", Uint8Array.of(0x50, 0x4b, 3, 4, 0, 0, 0, 0, 0, 0), /found another kind of file$/],
  ["a broken GGUF file", new TextEncoder().encode("GGUF"), /^v\.gguf: expected the version at byte 4, found the end/],
  ["a broken safetensors file", Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0, 0x7b), /^v\.gguf \(header-outside-file\)/],
])("%s is refused", async (_, bytes, message) => {
  await expect(read("v.gguf", bytes)).rejects.toThrow(InputError)
  await expect(read("v.gguf", bytes)).rejects.toThrow(message)
})
