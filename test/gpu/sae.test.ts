import { expect, test } from "vitest"
import type { Device } from "../../src/engine/device.ts"
import { NotFiniteError } from "../../src/engine/errors.ts"
import { Sae, type SparseCode } from "../../src/engine/sae.ts"
import { SaePass } from "../../src/engine/sae-pass.ts"
import { openDevice } from "../../src/node.ts"
import type { StoredType } from "../reference/checkpoint.ts"
import { testDevice } from "../helpers/device.ts"
import { expectClose, random } from "../helpers/numbers.ts"
import { referenceActivations, referenceDecode, type ReferenceSae, referenceTopK, saeFolder } from "../helpers/sae.ts"

const WITHIN = { absolute: 1e-4, relative: 1e-4 }

const residuals = (rows: number, width: number, seed = 5): Float32Array =>
  Float32Array.from({ length: rows * width }, random(seed))

/** The code as activations [rows, latents]. */
function dense({ rows, k, indices, values }: SparseCode, latents: number): Float64Array {
  const out = new Float64Array(rows * latents)
  for (const [i, value] of values.entries()) if (value !== 0) out[Math.floor(i / k) * latents + (indices[i] as number)] = value
  return out
}

function unexplained(rows: Float32Array, reconstruction: Float64Array, width: number): number {
  const mean = new Float64Array(width)
  for (const [i, x] of rows.entries()) mean[i % width]! += (x * width) / rows.length
  const square = (f: (x: number, i: number) => number): number => rows.reduce((sum, x, i) => sum + f(x, i) ** 2, 0)
  return square((x, i) => x - (reconstruction[i] as number)) / square((x, i) => x - (mean[i % width] as number))
}

async function expectAsReference(sae: Sae, reference: ReferenceSae, rows: Float32Array): Promise<void> {
  const activations = referenceActivations(reference, rows)
  const top = referenceTopK(reference, activations)
  const reconstruction = referenceDecode(reference, top)
  const code = await sae.encode(rows)
  expectClose(await sae.activations(rows), activations, WITHIN, "activations")
  expectClose(dense(code, reference.latents), top, WITHIN, "code")
  expectClose(await sae.decode(code), reconstruction, WITHIN, "decode")
  expectClose(await sae.reconstruct(rows), reconstruction, WITHIN, "reconstruct")
  expect(await sae.decode(code), "decoding what was encoded").toEqual(await sae.reconstruct(rows))
  const fraction = await sae.fractionOfVarianceUnexplained(rows)
  expectClose([fraction], [unexplained(rows, reconstruction, reference.width)], WITHIN, "unexplained")
}

const stored: readonly { dtypes: readonly StoredType[]; width: number; latents: number; k: number }[] = [
  { dtypes: ["F32"], width: 37, latents: 519, k: 7 },
  { dtypes: ["BF16"], width: 120, latents: 77, k: 77 },
  { dtypes: ["F16", "F32", "BF16", "F16"], width: 37, latents: 519, k: 1 },
]

test.each(stored)("encode and decode as float64 does: $dtypes, width $width, $k of $latents", async (sizes) => {
  const { folder, reference } = saeFolder(sizes)
  using sae = await Sae.load(folder, 2, { device: await testDevice(), width: sizes.width })
  expect(sae).toMatchObject({ layer: 2, width: sizes.width, latents: sizes.latents, k: sizes.k, name: "sae/layers.2" })
  await expectAsReference(sae, reference, residuals(11, sizes.width))
})

test("weights split where a binding ends and rows cut into pieces give the same bits", async () => {
  const { folder } = saeFolder()
  const rows = residuals(23, 37)
  using whole = await Sae.load(folder, 2, { device: await testDevice() })
  // A weight is 83 kB and a row of features 2 kB: five chunks, and eight rows a piece.
  using narrow = await openDevice({ debug: true, maxBinding: 16_640 })
  using pass = await SaePass.load(folder, 2, narrow, undefined, {})
  expect(pass.pieceRows).toBe(8)
  using split = await Sae.load(folder, 2, { device: narrow })
  const mix = Float32Array.from({ length: 519 }, random(9))
  for (const result of [
    (sae: Sae) => sae.activations(rows),
    (sae: Sae) => sae.reconstruct(rows),
    async (sae: Sae) => (await sae.encode(rows)).indices,
    async (sae: Sae) => sae.decode(await sae.encode(rows)),
    (sae: Sae) => sae.combine(mix),
    (sae: Sae) => sae.feature(518),
  ]) {
    expect(await result(split)).toEqual(await result(whole))
  }
})

test("the strongest features come first, and what is not positive is no feature", async () => {
  const width = 16
  const { folder } = saeFolder({
    width,
    latents: 24,
    k: 6,
    change: (tensors) => {
      for (const { data } of tensors.values()) data.fill(0)
      const bias = tensors.get("encoder.bias")?.data as Float64Array
      for (const [latent, value] of [
        [3, 2],
        [20, 5],
        [9, 2],
        [11, -1],
      ] as const)
        bias[latent] = value
    },
  })
  using sae = await Sae.load(folder, 2, { device: await testDevice() })
  const { rows, k, indices, values } = await sae.encode(new Float32Array(2 * width))
  expect([rows, k]).toEqual([2, 6])
  expect([...indices.subarray(0, 3)]).toEqual([20, 3, 9])
  expect([...values.subarray(6)]).toEqual([5, 2, 2, 0, 0, 0])
})

test("a feature's direction is its row of W_dec, bit for bit; a mix is their sum without b_dec", async () => {
  const { folder, reference } = saeFolder({ latents: 2600, dtypes: ["BF16"] })
  using sae = await Sae.load(folder, 2, { device: await testDevice() })
  for (const feature of [0, 1031, 2599]) {
    expect(await sae.feature(feature)).toEqual(Float32Array.from(reference.decoder.slice(feature * 37, (feature + 1) * 37)))
  }
  const mix = Float32Array.from({ length: 2600 }, random(3))
  expectClose(await sae.combine(mix), referenceDecode(reference, mix, new Float64Array(37)), WITHIN)
  expect(await sae.combine(new Float32Array(2600))).toEqual(new Float32Array(37))
})

test("input that does not fit is refused in one line", async () => {
  const { folder } = saeFolder()
  using sae = await Sae.load(folder, 2, { device: await testDevice() })
  const one = { rows: 1, k: 1, indices: Uint32Array.of(0), values: Float32Array.of(1) }
  for (const [call, message] of [
    [() => sae.encode(new Float32Array(36)), "rows: expected rows of width 37, as sae/layers.2 has, found 36 numbers"],
    [() => sae.encode(new Float32Array()), "rows: expected rows of width 37, as sae/layers.2 has, found no numbers"],
    [() => sae.reconstruct(new Float32Array(37).fill(NaN)), "rows: expected finite numbers, found NaN at 0"],
    [() => sae.feature(519), "feature: expected a feature from 0 to 518 of sae/layers.2, found 519"],
    [() => sae.feature(0.5), "feature: expected a feature from 0 to 518 of sae/layers.2, found 0.5"],
    [() => sae.combine(new Float32Array(3)), "weights: expected 519, one a feature, found 3"],
    [() => sae.decode({ ...one, k: 2 }), "features: expected rows x k of both, 1 x 2, found 1 indices and 1 values"],
    [
      () => sae.decode({ ...one, indices: Uint32Array.of(519) }),
      "features: expected a feature from 0 to 518 of sae/layers.2, found 519",
    ],
    [() => sae.decode({ ...one, values: Float32Array.of(Infinity) }), "features: expected finite numbers, found Infinity at 0"],
    [
      () => sae.fractionOfVarianceUnexplained(new Float32Array(74).fill(0.5)),
      "rows: expected rows that differ, to measure their variance, found 2 without",
    ],
  ] as const) {
    await expect(call()).rejects.toThrow(message)
  }
})

test("an activation that overflows is named, and so is a weight that is not finite", async () => {
  const device = await testDevice()
  using sae = await Sae.load(saeFolder({ change: (tensors) => tensors.get("W_dec")?.data.fill(2) }).folder, 2, { device })
  const huge = { rows: 1, k: 1, indices: Uint32Array.of(1), values: Float32Array.of(3e38) }
  await expect(sae.decode(huge)).rejects.toThrow(NotFiniteError)
  for (const name of ["encoder.weight", "encoder.bias", "W_dec", "b_dec"]) {
    const before = device.allocated
    const { folder } = saeFolder({ change: (tensors) => tensors.get(name)?.data.fill(NaN, 5, 6) })
    await expect(Sae.load(folder, 2, { device })).rejects.toThrow(
      `tensor ${name}: expected finite numbers, found NaN or infinity`,
    )
    expect(buffersBeside(device, before)).toBeLessThan(1024)
  }
})

/** What is held beyond `before`, but for cached parameters of a few bytes. */
const buffersBeside = (device: Device, before: number): number => device.allocated - before

test("loading reports its bytes, stops at an abort, and leaves nothing behind", async () => {
  const device = await testDevice()
  const { folder } = saeFolder()
  const seen: number[] = []
  using sae = await Sae.load(folder, 2, { device, onProgress: ({ done, total }) => seen.push(done / total) })
  expect(seen.at(-1)).toBe(1)
  const before = device.allocated
  await expect(Sae.load(folder, 2, { device, signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough")
  await expect(sae.encode(residuals(2, 37), { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough")
  expect(buffersBeside(device, before)).toBe(0)
})
