import { expect, test } from "vitest"
import { memoryFolder } from "../../src/engine/bytes.ts"
import { InputError } from "../../src/engine/errors.ts"
import { openSae } from "../../src/engine/sae-files.ts"
import { makeSae, type SaeFileOptions } from "../helpers/sae.ts"

const open = (options: SaeFileOptions, layer = 2, width?: number): Promise<unknown> =>
  openSae(memoryFolder("sae", makeSae(options).files), layer, width)

test("a layer's sizes and tensors, whatever else the files hold", async () => {
  const files = makeSae({
    config: { future_field: [1], multi_topk: true, activation: "topk", transcode: false },
    change: (tensors) => tensors.set("W_skip_statistics", { shape: [2], data: new Float64Array(2) }),
  }).files
  const sae = await openSae(memoryFolder("sae", files), 2, 37)
  expect(sae).toMatchObject({ name: "sae/layers.2", layer: 2, width: 37, latents: 519, k: 7 })
  expect([...sae.tensors.keys()]).toEqual(["encoder.weight", "encoder.bias", "W_dec", "b_dec"])
  expect(sae.bytes).toBe(4 * (2 * 519 * 37 + 519 + 37))
})

test.each([{ num_latents: 0 }, { num_latents: undefined }])(
  "without num_latents (%o) there are d_in x expansion_factor",
  async (given) => {
    const files = makeSae({ latents: 74, config: { ...given, expansion_factor: 2 } }).files
    expect(await openSae(memoryFolder("sae", files), 2)).toMatchObject({ latents: 74 })
  },
)

const without = (name: string): SaeFileOptions => ({ change: (tensors) => tensors.delete(name) })
const reshaped = (name: string, shape: number[]): SaeFileOptions => ({
  change: (tensors) => tensors.set(name, { shape, data: new Float64Array(shape.reduce((a, b) => a * b)) }),
})
const bad: readonly (readonly [what: string, options: SaeFileOptions, message: RegExp])[] = [
  ["k above the latents", { config: { k: 520 } }, /cfg\.json, k: expected at most 519, the latents, found 520$/],
  ["k 0", { config: { k: 0 } }, /cfg\.json, k: expected a whole number from 1, found 0$/],
  ["no d_in", { config: { d_in: undefined } }, /cfg\.json, d_in: expected a whole number from 1, found nothing$/],
  [
    "no count of latents",
    { config: { num_latents: 0, expansion_factor: undefined } },
    /expected num_latents or expansion_factor/,
  ],
  ["another activation", { config: { activation: "groupmax" } }, /activation: expected "topk".*found "groupmax"$/],
  ["signed features", { config: { signed: true } }, /signed: expected false: .*, found true$/],
  ["a transcoder", { config: { transcode: true } }, /transcode: expected false: .*, found true$/],
  ["a skip connection", { config: { skip_connection: true } }, /skip_connection: expected false: .*, found true$/],
  ["no encoder", without("encoder.weight"), /tensor encoder\.weight: expected shape \[519,37\], found no such tensor/],
  ["no bias", without("b_dec"), /tensor b_dec: expected shape \[37\], found no such tensor/],
  ["a transposed decoder", reshaped("W_dec", [37, 519]), /W_dec: expected shape \[519,37\], as cfg\.json says, found \[37,519\]/],
  ["another number of latents", { config: { num_latents: 518 } }, /encoder\.weight: expected shape \[518,37\].*found \[519,37\]/],
]

test.each(bad)("%s is refused in one line", async (_, options, message) => {
  const error = await open(options).catch((e: unknown) => e)
  expect(error).toBeInstanceOf(InputError)
  expect((error as Error).message).toMatch(message)
  expect((error as Error).message).toMatch(/^sae\/layers\.2\/[^\n]*$/)
})

test("another width than the model's names both", async () => {
  await expect(open({}, 2, 256)).rejects.toThrow(/cfg\.json, d_in: expected 256, the model's width, found 37; choose an autoenc/)
})

test("a layer that is absent names those that are there", async () => {
  await expect(open({}, 3)).rejects.toThrow(/layers\.3\/cfg\.json: .*found no such file; choose one of its layers: 2$/)
  await expect(openSae(memoryFolder("empty", {}), 0)).rejects.toThrow(/name a folder that holds layers\.N\/cfg\.json$/)
  await expect(open({}, 1.5)).rejects.toThrow("layer: expected a whole number from 0, found 1.5")
})

test("a layer without weights, and one whose config is broken", async () => {
  const { "layers.2/cfg.json": config } = makeSae().files as Record<string, string>
  await expect(openSae(memoryFolder("sae", { "layers.2/cfg.json": config as string }), 2)).rejects.toThrow(
    /layers\.2\/sae\.safetensors: expected the layer's weights, found no such file/,
  )
  await expect(openSae(memoryFolder("sae", { "layers.2/cfg.json": "{" }), 2)).rejects.toThrow(/expected JSON, found broken JSON/)
})

test("a precision that kernels cannot read", async () => {
  const header = { "encoder.weight": [1, 1], "encoder.bias": [1], "W_dec": [1, 1], "b_dec": [1] }
  const entries = Object.entries(header).map(([name, shape], i) => [
    name,
    { dtype: "F64", shape, data_offsets: [8 * i, 8 * i + 8] },
  ])
  const json = JSON.stringify(Object.fromEntries(entries))
  const bytes = new Uint8Array(8 + json.length + 32)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true)
  bytes.set(new TextEncoder().encode(json), 8)
  const folder = memoryFolder("sae", {
    "layers.0/cfg.json": '{"d_in":1,"num_latents":1,"k":1}',
    "layers.0/sae.safetensors": bytes,
  })
  await expect(openSae(folder, 0)).rejects.toThrow(/tensor encoder\.weight: expected F32, F16, BF16, found F64/)
})
