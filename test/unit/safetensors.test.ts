import { describe, expect, test } from "vitest"
import { bufferSource } from "../../src/engine/bytes.ts"
import { InputError, RedlineError } from "../../src/engine/errors.ts"
import {
  SafetensorsError,
  dtypeBytes,
  encodeSafetensors,
  readSafetensors,
  readTensorF32,
  type SafetensorsFile,
  type SafetensorsRule,
} from "../../src/engine/safetensors.ts"

/** A file of these literal bytes: the header's length, the header, `data` bytes counting 0, 1, … */
function file(header: string | Uint8Array, data = 0, headerLength?: bigint): Uint8Array {
  const json = typeof header === "string" ? new TextEncoder().encode(header) : header
  const bytes = new Uint8Array(8 + json.length + data).map((_, i) => i - 8 - json.length)
  new DataView(bytes.buffer).setBigUint64(0, headerLength ?? BigInt(json.length), true)
  bytes.set(json, 8)
  return bytes
}

const read = (bytes: Uint8Array): Promise<SafetensorsFile> => readSafetensors(bufferSource("x.safetensors", bytes))

const entry = (dtype: string, shape: string, offsets: string): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`

const A = '"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}'

describe("each rule has its error", () => {
  const cases: [SafetensorsRule, Uint8Array, string][] = [
    ["file-too-short", new Uint8Array(7), "expected at least 8 bytes, the header's length, found 7 bytes"],
    ["file-too-short", new Uint8Array(0), "found 0 bytes"],
    ["header-too-long", file("{}", 0, 100_000_001n), "expected a header of at most 100000000 bytes, found 100000001 bytes"],
    ["header-too-long", file("{}", 0, 2n ** 64n - 1n), "found 18446744073709551615 bytes"],
    ["header-outside-file", file("{}", 0, 3n), "expected a header of 3 bytes, found 10 bytes; the file may be truncated"],
    ["header-not-utf8", file(new Uint8Array([0x7b, 0xff, 0x7d])), "expected a header in UTF-8, found other bytes"],
    ["header-not-json", file('{"a":'), "expected a JSON header, found broken JSON ("],
    ["header-not-json", file(""), "expected a JSON header"],
    ["header-not-json", file("\uFEFF{}"), "expected a JSON header"],
    ["header-not-object", file("[]"), "expected a JSON object as header, found []"],
    ["header-not-object", file("null"), "found null"],
    ["duplicate-name", file(`{${A},${A}}`, 4), 'expected each name once, found "a" twice'],
    ["duplicate-name", file(`{${A}, "\\u0061" :${A.slice(4)}}`, 4), 'found "a" twice'],
    ["duplicate-name", file('{"__metadata__":{"k":"1","k":"2"}}'), 'found "k" twice'],
    ["duplicate-name", file('{"a":{"dtype":"U8","dtype":"I8","shape":[0],"data_offsets":[0,0]}}'), 'found "dtype" twice'],
    [
      "metadata-not-strings",
      file('{"__metadata__":{"k":1}}'),
      "__metadata__, k (metadata-not-strings): expected a string, found 1",
    ],
    ["metadata-not-strings", file('{"__metadata__":["k"]}'), 'expected an object of strings, found ["k"]'],
    ["malformed-entry", file('{"a":[1]}'), "tensor a (malformed-entry): expected an object, found [1]"],
    ["malformed-entry", file('{"a":{"shape":[4],"data_offsets":[0,4]}}', 4), "expected a dtype, found nothing"],
    ["malformed-entry", file('{"a":{"dtype":"U8","data_offsets":[0,4]}}', 4), "expected a shape of whole numbers, found nothing"],
    ["malformed-entry", file(`{"a":${entry("U8", "[-4]", "[0,4]")}}`, 4), "found [-4]"],
    ["malformed-entry", file(`{"a":${entry("U8", "[1.5]", "[0,4]")}}`, 4), "found [1.5]"],
    ["malformed-entry", file(`{"a":${entry("U8", "[4]", "[0]")}}`, 4), "expected two data_offsets, found [0]"],
    ["malformed-entry", file(`{"a":${entry("U8", "[4]", "[0,1e300]")}}`, 4), "found [0,1e+300]"],
    ["unknown-dtype", file(`{"a":${entry("Q4", "[4]", "[0,4]")}}`, 4), 'F32, F64, I64, U64, found "Q4"'],
    ["unknown-dtype", file(`{"a":${entry("toString", "[4]", "[0,4]")}}`, 4), 'found "toString"'],
    ["offsets-reversed", file(`{"a":${entry("U8", "[4]", "[4,0]")}}`, 4), "expected a start before the end, found [4,0]"],
    [
      "offsets-outside-file",
      file(`{${A}}`, 3),
      "expected offsets up to 3, found [0,4]; the file may be truncated: fetch it again",
    ],
    ["size-overflow", file(`{"a":${entry("U8", "[4294967296,4294967296]", "[0,4]")}}`, 4), "found shape [4294967296,4294967296]"],
    ["size-overflow", file(`{"a":${entry("U8", "[4294967296,4294967296,0]", "[0,0]")}}`), "expected a countable size"],
    ["size-mismatch", file(`{"a":${entry("BF16", "[4]", "[0,4]")}}`, 4), "expected 8 bytes for BF16 [4], found 4 bytes"],
    ["overlap", file(`{${A},"b":${entry("U8", "[3]", "[3,6]")}}`, 6), "tensor b (overlap): expected its first byte at "],
    ["overlap", file(`{${A},"b":${entry("U8", "[4]", "[0,4]")}}`, 4), "tensor b (overlap)"],
    ["hole", file(`{${A},"b":${entry("U8", "[1]", "[5,6]")}}`, 6), "tensor b (hole): expected its first byte at "],
    ["hole", file(`{"b":${entry("U8", "[1]", "[1,2]")}}`, 2), "tensor b (hole)"],
    ["hole", file(`{${A}}`, 5), "after tensor a (hole): expected the end of the file at "],
    ["hole", file("{}", 1), "x.safetensors (hole): expected the end of the file at 10, found 11"],
  ]
  test.each(cases)("%s %#", async (rule, bytes, message) => {
    const error: unknown = await read(bytes).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(SafetensorsError)
    expect(error).toBeInstanceOf(InputError)
    const { rule: found, message: text } = error as SafetensorsError
    expect(found).toBe(rule)
    expect(text).toContain(message)
    expect(text).toMatch(new RegExp(`^x\\.safetensors.* \\(${rule}\\): [^\n]+$`))
  })
})

describe("what the rules allow is read", () => {
  test("tensors in the order of their bytes, metadata, spaces after the header", async () => {
    const { metadata, tensors, source } = await read(
      file(`{"b":${entry("U8", "[2]", "[4,6]")},"__metadata__":{"format":"pt"},${A}}   `, 6),
    )
    expect(metadata).toEqual({ format: "pt" })
    expect([...tensors.keys()]).toEqual(["a", "b"])
    const b = tensors.get("b")
    expect(b).toMatchObject({ name: "b", dtype: "U8", shape: [2], source })
    expect([...new Uint8Array(await source.slice(b?.begin ?? 0, b?.end ?? 0))]).toEqual([4, 5])
  })

  test.each([
    ["no tensor", file("{}"), []],
    [
      "an empty tensor between others",
      file(`{${A},"e":${entry("F32", "[0,7]", "[4,4]")},"b":${entry("I8", "[]", "[4,5]")}}`, 5),
      ["a", "e", "b"],
    ],
    ["names that need care", file('{"__proto__":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'), ["__proto__"]],
    ["the same key in different objects", file(`{${A},"shape":${entry("U8", "[0]", "[4,4]")}}`, 4), ["a", "shape"]],
    ["braces and quotes in strings", file(`{"__metadata__":{"x":"{\\"a\\":","y":"}\\\\"},${A}}`, 4), ["a"]],
  ])("%s", async (_, bytes, names) => {
    expect([...(await read(bytes)).tensors.keys()]).toEqual(names)
  })

  test.each(Object.entries(dtypeBytes))("%s takes %i bytes", async (dtype, bytes) => {
    const { tensors } = await read(file(`{"a":${entry(dtype, "[3,2]", `[0,${6 * bytes}]`)}}`, 6 * bytes))
    expect(tensors.get("a")?.dtype).toBe(dtype)
  })

  test("a metadata string of megabytes", async () => {
    const text = '\\"{'.repeat(1_000_000)
    expect((await read(file(`{"__metadata__":{"long":"${text}"}}`))).metadata["long"]).toHaveLength(2_000_000)
  })
})

describe("values as f32", () => {
  const values = async (dtype: string, ...words: number[]): Promise<number[]> => {
    const data = dtype === "F32" ? Float32Array.from(words) : Uint16Array.from(words)
    // One byte before the tensor: its offset in the file is no multiple of its element.
    const bytes = file(
      `{"u":${entry("U8", "[1]", "[0,1]")},"a":${entry(dtype, `[${words.length}]`, `[1,${1 + data.byteLength}]`)}}`,
      1,
    )
    const all = new Uint8Array(bytes.length + data.byteLength)
    all.set(bytes)
    all.set(new Uint8Array(data.buffer), bytes.length)
    const found = (await read(all)).tensors.get("a")
    return [...(await readTensorF32(found as NonNullable<typeof found>))]
  }

  test("F32", async () => {
    expect(await values("F32", 1.5, -0, Infinity, NaN, 2 ** -149)).toEqual([1.5, -0, Infinity, NaN, 2 ** -149])
  })

  test("BF16", async () => {
    expect(await values("BF16", 0x3fc0, 0x8000, 0x7f80, 0x7fc0, 0x0001, 0xc049)).toEqual([
      1.5,
      -0,
      Infinity,
      NaN,
      2 ** -133,
      -3.140625,
    ])
  })

  test("F16", async () => {
    expect(await values("F16", 0x3e00, 0x8000, 0x7c00, 0xfc00, 0x7e00, 0x0001, 0x83ff, 0x0400, 0x7bff, 0xc248)).toEqual([
      1.5,
      -0,
      Infinity,
      -Infinity,
      NaN,
      2 ** -24,
      -1023 * 2 ** -24,
      2 ** -14,
      65504,
      -3.140625,
    ])
  })

  test("other types are refused", async () => {
    const { tensors } = await read(file(`{"a":${entry("F64", "[1]", "[0,8]")}}`, 8))
    const found = tensors.get("a") as NonNullable<ReturnType<typeof tensors.get>>
    await expect(readTensorF32(found)).rejects.toThrow("x.safetensors, tensor a: expected F32, F16 or BF16, found F64")
  })
})

describe("writing", () => {
  const z = { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4.5) }
  const a = { shape: [3], data: Float32Array.of(0, -5, 6, 7).subarray(1) }

  test("gives a file that reads back", async () => {
    const { metadata, tensors } = await read(
      encodeSafetensors(
        new Map([
          ["z", z],
          ["a", a],
        ]),
        { method: "mean", layers: "3,4" },
      ),
    )
    expect(metadata).toEqual({ layers: "3,4", method: "mean" })
    expect([...tensors.keys()]).toEqual(["a", "z"])
    expect([...tensors.values()].map((one) => one.shape)).toEqual([[3], [2, 2]])
    const read32 = await Promise.all([...tensors.values()].map(readTensorF32))
    expect(read32.map((one) => [...one])).toEqual([
      [-5, 6, 7],
      [1, 2, 3, 4.5],
    ])
  })

  test("gives the same bytes whatever the order, data on 8 bytes", () => {
    const one = encodeSafetensors(
      new Map([
        ["z", z],
        ["a", a],
      ]),
      { x: "1", y: "2" },
    )
    const other = encodeSafetensors(
      new Map([
        ["a", a],
        ["z", z],
      ]),
      { y: "2", x: "1" },
    )
    expect(other).toEqual(one)
    expect(new DataView(one.buffer).getBigUint64(0, true) % 8n).toBe(0n)
    expect(new TextDecoder().decode(one.subarray(8, 41))).toBe('{"__metadata__":{"x":"1","y":"2"}')
  })

  test("writes the literal bytes of an empty file", () => {
    expect([...encodeSafetensors(new Map())]).toEqual([8, 0, 0, 0, 0, 0, 0, 0, ...new TextEncoder().encode("{}      ")])
  })

  test("refuses a shape that its data do not fill, and the name of the metadata", () => {
    expect(() => encodeSafetensors(new Map([["a", { shape: [2], data: new Float32Array(3) }]]))).toThrow(
      new RedlineError("tensor a: 3 values do not fill shape [2]"),
    )
    expect(() => encodeSafetensors(new Map([["__metadata__", z]]))).toThrow(RedlineError)
  })
})
