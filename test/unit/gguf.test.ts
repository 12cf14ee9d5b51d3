import { describe, expect, test } from "vitest"
import { bufferSource } from "../../src/engine/bytes.ts"
import { InputError } from "../../src/engine/errors.ts"
import { encodeGguf } from "../../src/steering/gguf-write.ts"
import { SteeringVector } from "../../src/steering/vector.ts"

type Part = string | readonly number[] | ArrayBufferView

/** A file of letters, bytes and numbers one after the other. */
function bytes(...parts: Part[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part): readonly number[] => {
      if (typeof part === "string") return [...new TextEncoder().encode(part)]
      return ArrayBuffer.isView(part) ? [...new Uint8Array(part.buffer, part.byteOffset, part.byteLength)] : part
    }),
  )
}

const u32 = (n: number): Uint32Array => Uint32Array.of(n)
const u64 = (n: number | bigint): BigUint64Array => BigUint64Array.of(BigInt(n))
const f32 = (...n: number[]): Float32Array => Float32Array.from(n)
const text = (s: string): Uint8Array => bytes(u64(new TextEncoder().encode(s).length), s)
const join = (parts: readonly Part[]): Uint8Array => bytes(...parts)
const padded = (part: Uint8Array, to = 32): Uint8Array => bytes(part, new Uint8Array(-part.length & (to - 1)))

const STRING = 8
const ARRAY = 9
const architecture = bytes(text("general.architecture"), u32(STRING), text("controlvector"))
const value = (key: string, type: number, ...parts: Part[]): Uint8Array => bytes(text(key), u32(type), ...parts)
const info = (name: string, width: number | bigint, offset: number | bigint, type = 0): Uint8Array =>
  bytes(text(name), u32(1), u64(width), u32(type), u64(offset))

interface Pieces {
  readonly head?: Part
  readonly metadata?: readonly Uint8Array[]
  readonly infos?: readonly Uint8Array[]
  readonly data?: Part
  readonly alignment?: number
}

/** A control vector with a direction [1, 2] for layer 1, but for the pieces given. */
function file(pieces: Pieces): Uint8Array {
  const { metadata = [architecture], infos = [info("direction.1", 2, 0)], data = f32(1, 2), alignment } = pieces
  const head = pieces.head ?? bytes("GGUF", u32(3), u64(infos.length), u64(metadata.length))
  return bytes(padded(bytes(head, join(metadata), join(infos)), alignment), data)
}

const read = (content: Uint8Array): Promise<SteeringVector> => SteeringVector.fromGguf(bufferSource("v.gguf", content))
const directionsOf = async (content: Uint8Array): Promise<[number, number[]][]> =>
  [...(await read(content)).directions].map(([layer, direction]) => [layer, [...direction]])

// As gguf-py writes what repeng's export_gguf gives it: descending layers, u32, every tensor padded to 32 bytes.
const fromRepeng = bytes(
  "GGUF",
  [3, 0, 0, 0],
  [2, 0, 0, 0, 0, 0, 0, 0],
  [3, 0, 0, 0, 0, 0, 0, 0],
  [20, 0, 0, 0, 0, 0, 0, 0],
  "general.architecture",
  [8, 0, 0, 0],
  [13, 0, 0, 0, 0, 0, 0, 0],
  "controlvector",
  [24, 0, 0, 0, 0, 0, 0, 0],
  "controlvector.model_hint",
  [8, 0, 0, 0],
  [5, 0, 0, 0, 0, 0, 0, 0],
  "llama",
  [25, 0, 0, 0, 0, 0, 0, 0],
  "controlvector.layer_count",
  [4, 0, 0, 0],
  [2, 0, 0, 0],
  [11, 0, 0, 0, 0, 0, 0, 0],
  "direction.2",
  [1, 0, 0, 0],
  [3, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0],
  [0, 0, 0, 0, 0, 0, 0, 0],
  [11, 0, 0, 0, 0, 0, 0, 0],
  "direction.1",
  [1, 0, 0, 0],
  [3, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 0, 0],
  [32, 0, 0, 0, 0, 0, 0, 0],
  new Uint8Array(3), // the header's 253 bytes padded to 256
  [0, 0, 0x80, 0x3f, 0, 0, 0, 0x80, 1, 0, 0, 0], // 1, -0 and the smallest denormal
  new Uint8Array(20),
  [0, 0, 0x20, 0xc0, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40], // -2.5, 2 and 3
  new Uint8Array(20),
)

describe("control vectors of others", () => {
  test("repeng's", async () => {
    const vector = await read(fromRepeng)
    expect(vector.metadata).toStrictEqual({ modelHint: "llama", method: "unknown" })
    expect([...vector.directions]).toEqual([
      [1, f32(-2.5, 2, 3)],
      [2, f32(1, -0, 2 ** -149)],
    ])
  })

  test("llama.cpp's, with layer_count as i32", async () => {
    const metadata = [
      architecture,
      value("controlvector.model_hint", STRING, text("llama")),
      value("controlvector.layer_count", 5, Int32Array.of(1)),
    ]
    const vector = await read(file({ metadata, data: padded(bytes(f32(1, 2))) }))
    expect(vector.metadata.modelHint).toBe("llama")
    expect([...vector.directions]).toEqual([[1, f32(1, 2)]])
  })

  test("without model_hint and layer_count", async () => {
    expect((await read(file({}))).metadata).toStrictEqual({ modelHint: "unknown", method: "unknown" })
  })

  test("with metadata of every type", async () => {
    const metadata = [
      value("u8", 0, [1]),
      value("i8", 1, [255]),
      value("u16", 2, [1, 0]),
      value("i16", 3, [1, 0]),
      value("u32", 4, u32(7)),
      value("i32", 5, u32(7)),
      value("f32", 6, f32(0.5)),
      value("bool", 7, [1]),
      value("string", STRING, text("«ü»")),
      architecture,
      value("u64", 10, u64(2n ** 63n)),
      value("i64", 11, u64(2n ** 64n - 1n)),
      value("f64", 12, Float64Array.of(0.5)),
      value("numbers", ARRAY, u32(2), u64(3), [1, 0, 2, 0, 3, 0]),
      value("none", ARRAY, u32(12), u64(0)),
      value("texts", ARRAY, u32(STRING), u64(2), text("one"), text("")),
      value("arrays", ARRAY, u32(ARRAY), u64(2), u32(0), u64(1), [9], u32(STRING), u64(1), text("x")),
      value("controlvector.model_hint", STRING, text("last")),
    ]
    const vector = await read(file({ metadata }))
    expect(vector.metadata.modelHint).toBe("last")
    expect([...vector.directions]).toEqual([[1, f32(1, 2)]])
  })

  test.each([1, 8, 64, 4096])("aligned to %i bytes", async (alignment) => {
    const metadata = [architecture, value("general.alignment", 4, u32(alignment))]
    expect(await directionsOf(file({ metadata, alignment }))).toEqual([[1, [1, 2]]])
  })

  test("with directions of one layer more than once, which add up", async () => {
    const infos = [info("direction.3", 2, 0), info("direction.5", 2, 32), info("direction.3", 2, 64)]
    const data = bytes(padded(bytes(f32(1, 2))), padded(bytes(f32(7, 8))), f32(0.5, -2))
    expect(await directionsOf(file({ infos, data }))).toEqual([
      [3, [1.5, 0]],
      [5, [7, 8]],
    ])
  })

  test("with data in another order than the names and a gap between", async () => {
    const infos = [info("direction.2", 1, 96), info("direction.1", 1, 0)]
    expect(await directionsOf(file({ infos, data: bytes(f32(1), new Uint8Array(92), f32(2)) }))).toEqual([
      [1, [1]],
      [2, [2]],
    ])
  })
})

describe("what is written", () => {
  test("is what gguf-py writes of the same", () => {
    const tensors = new Map([
      ["direction.2", f32(1, -0, 2 ** -149)],
      ["direction.1", f32(-2.5, 2, 3)],
    ])
    const metadata = [
      ["general.architecture", "controlvector"],
      ["controlvector.model_hint", "llama"],
      ["controlvector.layer_count", 2],
    ] as const
    expect(encodeGguf(metadata, tensors)).toEqual(fromRepeng)
  })

  test("has our metadata under keys that others skip", () => {
    const metadata = { modelHint: "m", method: "mean", createdFrom: "p" }
    const entries = [
      architecture,
      value("controlvector.model_hint", STRING, text("m")),
      value("controlvector.layer_count", 4, u32(1)),
      value("redline.method", STRING, text("mean")),
      value("redline.created_from", STRING, text("p")),
    ]
    const expected = file({ metadata: entries, data: padded(bytes(f32(1, 2))) })
    expect(new SteeringVector([[1, f32(1, 2)]], metadata).toGguf()).toEqual(expected)
  })
})

const deep = (levels: number): Uint8Array =>
  value("deep", ARRAY, join(Array.from({ length: levels }, () => bytes(u32(ARRAY), u64(1)))), u32(0), u64(1), [0])
const twoDimensions = bytes(text("direction.1"), u32(2), u64(2), u64(1), u32(0), u64(0))
const two = (first: string, second: string, width = 2, offset = 32): readonly Uint8Array[] => [
  info(first, 2, 0),
  info(second, width, offset),
]
const twoData = new Uint8Array(64)

test.each<[string, Uint8Array, RegExp]>([
  ["another magic", bytes("GGML", u32(3), u64(0), u64(0)), /^v\.gguf: .*begins with GGUF, found "GGML"$/],
  ["an empty file", bytes(), /^v\.gguf: expected the letters GGUF at byte 0, found the end of the file after 0 bytes; .*again$/],
  ["version 1", file({ head: bytes("GGUF", u32(1), u32(1), u32(1)) }), /GGUF version 3, little-endian, found version 1; /],
  ["version 2", file({ head: bytes("GGUF", u32(2), u64(1), u64(1)) }), /found version 2; /],
  ["a later version", file({ head: bytes("GGUF", u32(4), u64(1), u64(1)) }), /found version 4; /],
  ["big-endian", bytes("GGUF", [0, 0, 0, 3], new Uint8Array(16)), /found version 3, big-endian; /],
  [
    "a model",
    file({ metadata: [value("general.architecture", 8, text("llama"))] }),
    /architecture: .*"controlvector", found "llama"$/,
  ],
  ["no architecture", file({ metadata: [] }), /general\.architecture: expected "controlvector", found nothing$/],
  [
    "an architecture that is a number",
    file({ metadata: [value("general.architecture", 4, u32(1))] }),
    /a text, found another type$/,
  ],
  [
    "a hint that is a number",
    file({ metadata: [architecture, value("controlvector.model_hint", 4, u32(1))] }),
    /^v\.gguf, controlvector\.model_hint: expected a text, found another type$/,
  ],
  [
    "a key twice",
    file({ metadata: [architecture, architecture] }),
    /"general\.architecture": expected each key once, found it twice$/,
  ],
  [
    "a type of metadata that is none",
    file({ metadata: [architecture, value("x", 13)] }),
    /"x": expected a type .*, found type 13$/,
  ],
  ["an array of a type that is none", file({ metadata: [value("x", ARRAY, u32(99), u64(0)), architecture] }), /"x": .* type 99$/],
  ["arrays too deep", file({ metadata: [deep(8), architecture] }), /"deep": .*arrays at most 8 deep, found deeper ones$/],
  ["a text that is not UTF-8", file({ metadata: [value("x", STRING, u64(1), [0xff])] }), /^v\.gguf, a metadata text: .*UTF-8/],
  [
    "a text longer than the file",
    file({ metadata: [value("x", STRING, u64(2n ** 60n))] }),
    /a text's length .*found 1152921504606846976$/,
  ],
  [
    "an array longer than the file",
    file({ metadata: [value("x", ARRAY, u32(0), u64(2n ** 40n))] }),
    /an array's length .*hold, found/,
  ],
  [
    "an array that ends the file",
    file({ metadata: [value("x", ARRAY, u32(12), u64(60))] }),
    /expected metadata at byte .*the end of/,
  ],
  [
    "metadata without end",
    bytes("GGUF", u32(3), u64(1), u64(2n ** 64n - 1n)),
    /metadata entries that a file of 24 bytes can hold, found/,
  ],
  [
    "tensors without end",
    bytes("GGUF", u32(3), u64(2n ** 63n), u64(0)),
    /a number of tensors that .*, found 9223372036854775808$/,
  ],
  ["more tensors than there are", file({ head: bytes("GGUF", u32(3), u64(50), u64(1)), data: bytes() }), /a name of 1 to 64/],
  [
    "an alignment of 0",
    file({ metadata: [architecture, value("general.alignment", 4, u32(0))] }),
    /a power of two as u32, found 0$/,
  ],
  ["an alignment of 24", file({ metadata: [architecture, value("general.alignment", 4, u32(24))] }), /alignment: .*, found 24$/],
  ["an alignment of i32", file({ metadata: [architecture, value("general.alignment", 5, u32(32))] }), /found another type$/],
  [
    "an alignment beyond the file",
    file({ metadata: [architecture, value("general.alignment", 4, u32(2 ** 31))] }),
    /data up to byte/,
  ],
  ["no tensors", file({ infos: [] }), /^v\.gguf: expected a tensor direction\.N for each layer N, found none$/],
  [
    "another tensor",
    file({ infos: [info("output.weight", 2, 0)] }),
    /^v\.gguf, tensor output\.weight: expected no tensors but direction\.N/,
  ],
  ["a name of two lines", file({ infos: [info("a\nb", 2, 0)] }), /tensor 0: .*printable characters, found "a\\nb"$/],
  ["a name without end", file({ infos: [info("d".repeat(65), 2, 0)] }), /tensor 0: expected a name of 1 to 64/],
  [
    "direction.0",
    file({ infos: [info("direction.0", 2, 0)] }),
    /tensor direction\.0: expected direction\.N with N from 1.*found N = 0$/,
  ],
  ["a layer that is no number", file({ infos: [info("direction.-1", 2, 0)] }), /tensor direction\.-1: expected no tensors but/],
  ["two dimensions", file({ infos: [twoDimensions] }), /tensor direction\.1: expected one dimension, found 2$/],
  ["F16", file({ infos: [info("direction.1", 2, 0, 1)] }), /tensor direction\.1: expected F32, found F16$/],
  ["a type of the future", file({ infos: [info("direction.1", 2, 0, 77)] }), /tensor direction\.1: expected F32, found type 77$/],
  ["no numbers", file({ infos: [info("direction.1", 0, 0)] }), /tensor direction\.1: expected at least one number, found none$/],
  [
    "a width beyond the file",
    file({ infos: [info("direction.1", 2n ** 62n, 0)] }),
    /a width that a file of .* found 4611686018427387904$/,
  ],
  ["an offset off its alignment", file({ infos: [info("direction.1", 2, 8)] }), /direction\.1: .* multiple of 32, found 8$/],
  [
    "an offset beyond the file",
    file({ infos: [info("direction.1", 2, 2n ** 62n)] }),
    /an offset that a file of .* can hold, found/,
  ],
  [
    "data beyond the file",
    file({ infos: [info("direction.1", 2, 32)] }),
    /direction\.1: expected data up to byte 168, found a file of 136/,
  ],
  [
    "overlapping data",
    file({ infos: two("direction.1", "direction.2", 2, 0), data: twoData }),
    /direction\.2: .*at least 8,.*found 0$/,
  ],
  [
    "differing widths",
    file({ infos: two("direction.1", "direction.2", 1), data: twoData }),
    /direction\.2: expected width 2, .*found 1$/,
  ],
  ["differing widths of one layer", file({ infos: two("direction.1", "direction.1", 1), data: twoData }), /width 2, as the one/],
  ["NaN", file({ data: f32(1, NaN) }), /^v\.gguf, tensor direction\.1: expected finite numbers, found NaN at index 1$/],
  [
    "a sum beyond f32",
    file({ infos: two("direction.1", "direction.1"), data: bytes(padded(bytes(f32(3e38, 0))), f32(3e38, 0)) }),
    /direction\.1: expected finite numbers, found Infinity at index 0$/,
  ],
])("%s is refused", async (_, content, message) => {
  const error = await read(content).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(InputError)
  expect((error as InputError).message).toMatch(message)
  expect((error as InputError).message).not.toContain("\n")
})

test("a file cut anywhere before the end of its numbers is refused", async () => {
  const whole = file({})
  for (let length = 0; length < whole.length; length++) {
    await expect(read(whole.subarray(0, length))).rejects.toThrow(InputError)
  }
  await expect(read(whole)).resolves.toBeInstanceOf(SteeringVector)
})

test("a file with any byte changed is read or refused, and nothing else happens", async () => {
  for (let at = 0; at < fromRepeng.length; at++) {
    for (const byte of [0, 1, 9, 0x7f, 0x80, 0xff]) {
      const changed = fromRepeng.slice()
      changed[at] = byte
      const result = await read(changed).catch((error: unknown) => error)
      expect(result instanceof SteeringVector || result instanceof InputError).toBe(true)
    }
  }
})

test("of a large model no more than the header is read, and it is refused by its architecture", async () => {
  const start = file({ metadata: [value("general.architecture", STRING, text("llama"))], infos: [] })
  let asked = 0
  const source = {
    name: "model.gguf",
    byteLength: 40e9,
    async slice(from: number, to: number) {
      asked = Math.max(asked, to)
      const part = new Uint8Array(to - from)
      part.set(start.subarray(from, Math.min(to, start.length)))
      return part.buffer
    },
  }
  await expect(SteeringVector.fromGguf(source)).rejects.toThrow(/architecture: expected "controlvector", found "llama"$/)
  expect(asked).toBeLessThan(20e6)
})

test("a header of more than 16 MiB is refused as such", async () => {
  const metadata = [architecture, value("x", ARRAY, u32(0), u64(2 ** 24))]
  const start = bytes("GGUF", u32(3), u64(1), u64(3), join(metadata))
  const content = new Uint8Array(2 ** 24 + 500)
  content.set(start)
  await expect(read(content)).rejects.toThrow(/^v\.gguf: expected a header of at most 16777216 bytes, found a longer one$/)
})
