import { afterAll, beforeAll, describe, expect, test } from "vitest"
import type { Edit } from "../../src/engine/edits.ts"
import { hookShapes } from "../../src/engine/hooks.ts"
import type { Model } from "../../src/engine/model.ts"
import { bitsOf } from "../helpers/gpu.ts"
import { randomModel } from "../helpers/models.ts"
import { expectClose, random } from "../helpers/numbers.ts"
import type { ReferenceLlama } from "../reference/llama.ts"

const vocab = 131
const layers = 2
let model: Model
let reference: ReferenceLlama
beforeAll(async () => {
  ;({ model, reference } = await randomModel({
    seed: 31,
    vocab,
    layers,
    hidden: 60,
    intermediate: 92,
    headDim: 12,
    dtypes: ["F32"],
  }))
})
afterAll(() => model.dispose())

const next = random(8)
const randomIds = (length: number): number[] => Array.from({ length }, () => Math.floor(((next() + 1) / 2) * vocab))
const prompts = [randomIds(9), randomIds(5), randomIds(13)]

/** The logits of each row's own positions. */
async function logitsOf(edits: readonly Edit[], rows: readonly (readonly number[])[] = prompts): Promise<Float32Array[]> {
  const { logits } = await model.run(rows, { edits })
  const longest = Math.max(...rows.map((ids) => ids.length))
  return rows.map((ids, row) => logits!.data.slice(row * longest * vocab, (row * longest + ids.length) * vocab))
}

/** Every kind of internal, in the second layer where it has one. */
const hooks = [
  "hook_embed",
  ...[
    "hook_resid_pre",
    "attn.hook_q",
    "attn.hook_k",
    "attn.hook_v",
    "attn.hook_rot_q",
    "attn.hook_rot_k",
    "attn.hook_pattern",
    "attn.hook_z",
    "hook_attn_out",
    "hook_resid_mid",
    "mlp.hook_pre",
    "mlp.hook_pre_linear",
    "mlp.hook_post",
    "hook_mlp_out",
    "hook_resid_post",
  ].map((name) => `blocks.1.${name}`),
  "ln_final.hook_normalized",
]

/** 0.5 x + 0.1 (row + 1) - 0.02 position + 0.03 (head + index % 3): depends on everything that an edit is given. */
const formula = (x: number, row: number, position: number, head: number, index: number): number =>
  0.5 * x + 0.1 * (row + 1) - 0.02 * position + 0.03 * (head + (index % 3))
const wgsl = "0.5 * x + 0.1 * f32(row + 1) - 0.02 * f32(position) + 0.03 * f32(head + index % 3u)"

describe.each(hooks)("an edit of %s", (name) => {
  const shape = (): readonly number[] => hookShapes(model.config).get(name)!
  const isPattern = name.endsWith("pattern")

  test("by an expression and by a function gives what float64 gives", async () => {
    const shader = await logitsOf([{ hook: name, wgsl }])
    const host = await logitsOf([
      {
        hook: name,
        apply(values, { row, position, shape: own }) {
          const inner = own.at(-1)!
          for (let i = 0; i < values.length; i++) values[i] = formula(values[i]!, row, position, Math.floor(i / inner), i % inner)
        },
      },
    ])
    for (const [row, ids] of prompts.entries()) {
      const edit = (hook: string, values: Float64Array): void => {
        if (hook !== name) return
        const inner = isPattern ? ids.length : shape().at(-1)!
        const heads = shape().length > 1 || isPattern ? shape()[0]! : 1
        for (let i = 0; i < values.length; i++) {
          // The reference's pattern is [head, query, key], everything else [pos, head, index].
          const [head, position] = isPattern
            ? [Math.floor(i / (ids.length * ids.length)), Math.floor(i / ids.length) % ids.length]
            : [Math.floor(i / inner) % heads, Math.floor(i / (inner * heads))]
          const index = i % inner
          values[i] = isPattern && index > position ? 0 : formula(values[i]!, row, position, head, index)
        }
      }
      const expected = Float64Array.from(reference.forward(ids, { edit }).logits.flatMap((one) => [...one]))
      expectClose(shader[row]!, expected, { absolute: 5e-4, relative: 5e-4 }, `expression, row ${row}`)
      expectClose(host[row]!, expected, { absolute: 5e-4, relative: 5e-4 }, `function, row ${row}`)
    }
  })
})

test("captures see the edited values, and later internals follow from them", async () => {
  const { captured } = await model.run([prompts[0]!], {
    edits: [{ hook: "blocks.0.hook_resid_post", wgsl: "f32(index)" }],
    capture: ["blocks.0.hook_resid_post", "blocks.1.hook_resid_pre"],
  })
  for (const { data } of captured.values()) expect(data.slice(60, 120)).toEqual(Float32Array.from({ length: 60 }, (_, i) => i))
})

test("two tensors, with axes that repeat, patch one run into another", async () => {
  const [clean, corrupted] = [randomIds(7), randomIds(7)]
  const source = await model.run([clean], { capture: "blocks.0.hook_resid_post" })
  const patch = source.captured.get("blocks.0.hook_resid_post")!
  const mask = { shape: [7, 1], data: new Float32Array(7).fill(1) }
  const edits = [{ hook: "blocks.0.hook_resid_post", wgsl: "x * (1.0 - mask) + patch * mask", tensors: { mask, patch } }]
  // Everything after the patch is the clean run's.
  const [patched] = await logitsOf(edits, [corrupted])
  expectClose(patched!, source.logits!.data, { absolute: 1e-5, relative: 1e-5 })
  mask.data.fill(0)
  expect(bitsOf((await logitsOf(edits, [corrupted]))[0]!)).toEqual(bitsOf((await logitsOf([], [corrupted]))[0]!))
})

test("a head is ablated by a mask over the heads", async () => {
  const heads = { shape: [6, 1], data: Float32Array.from([1, 1, 0, 1, 1, 1]) }
  const byMask = await logitsOf([{ hook: "blocks.1.attn.hook_z", wgsl: "x * heads", tensors: { heads } }])
  const byName = await logitsOf([{ hook: "blocks.1.attn.hook_z", wgsl: "select(x, 0.0, head == 2u)" }])
  expect(byMask.map(bitsOf)).toEqual(byName.map(bitsOf))
  expect(byMask[0]).not.toEqual((await logitsOf([]))[0])
})

test("edits act in their order, on hosts and GPU, and on globs", async () => {
  const both = await logitsOf([
    { hook: "blocks.*.hook_mlp_out", wgsl: "x * 2.0" },
    { hook: "blocks.1.hook_mlp_out", apply: (values) => values.forEach((x, i) => (values[i] = x / 2)) },
  ])
  expect(both.map(bitsOf)).toEqual((await logitsOf([{ hook: "blocks.0.hook_mlp_out", wgsl: "x * 2.0" }])).map(bitsOf))
})

test("generation and scoring take edits, and a batch in groups gives them the caller's rows", async () => {
  const edit: Edit = { hook: "blocks.1.hook_resid_post", wgsl: "x + 3.0 * f32(row) * sin(f32(index))" }
  const host: Edit = {
    hook: edit.hook,
    apply: (values, { row }) => values.forEach((x, i) => (values[i] = x + 3 * row * Math.sin(i))),
  }
  const prompt = prompts[0]!
  const options = { tokens: 6, endIds: [] }
  const [plain, edited] = await model.complete([prompt, prompt], { ...options, edits: [edit] })
  expect(plain!.ids).toEqual((await model.complete([prompt], options))[0]!.ids)
  expect(edited!.ids).not.toEqual(plain!.ids)
  expect((await model.complete([prompt, prompt], { ...options, edits: [host] })).map(({ ids }) => ids)).toEqual([
    plain!.ids,
    edited!.ids,
  ])
  const sequences = [plain, edited].map((one) => ({ ids: [...prompt, ...one!.ids], from: prompt.length }))
  const [byShader, byHost] = [await model.score(sequences, { edits: [edit] }), await model.score(sequences, { edits: [host] })]
  expectClose(byHost[1]!.logprobs, byShader[1]!.logprobs, { absolute: 1e-4, relative: 0 })
})

test("with all ways off the pass is bit-identical to the plain one", async () => {
  const { logits } = await model.run(prompts)
  const vector = { directions: new Map([[1, Float32Array.from({ length: 60 }, () => next())]]) }
  const off = await model.run(prompts, {
    edits: [],
    steering: (["add", "ablate", "rotate"] as const).map((way) => ({ vector, way, coefficient: 0 })),
  })
  const none = await model.run(prompts, { steering: [{ vector, way: "clamp", coefficient: [null, null, null] }] })
  const nowhere = await model.run(prompts, { steering: [{ vector, way: "ablate", coefficient: 1, positions: "generated" }] })
  for (const run of [off, none, nowhere]) expect(bitsOf(run.logits!.data)).toEqual(bitsOf(logits!.data))
})

test("what runs beside a run that waits for the host does not disturb it", async () => {
  const edits: Edit[] = [{ hook: "blocks.*.hook_resid_post", apply: (values) => values.forEach((x, i) => (values[i] = x * 1.5)) }]
  const alone = await logitsOf(edits)
  const [beside] = await Promise.all([
    logitsOf(edits),
    model.complete([randomIds(20)], { tokens: 8 }),
    model.run([randomIds(30)]),
  ])
  expect(beside.map(bitsOf)).toEqual(alone.map(bitsOf))
})

const shape34 = { shape: [3, 4], data: new Float32Array(12) }
const bad: { edit: Edit; says: RegExp }[] = [
  {
    edit: { hook: "blocks.1.hook_resid_pots", wgsl: "x" },
    says: /«blocks\.1\.hook_resid_pots»; the nearest are blocks\.1\.hook_resid_post/,
  },
  {
    edit: { hook: "hook_embed", wgsl: "x +" },
    says: /^edit of hook_embed: expected a WGSL expression of type f32, found «x \+», line 1, column \d+: /,
  },
  { edit: { hook: "hook_embed", wgsl: "y" }, says: /found «y», line 1, column 1: .*unresolved value 'y'/ },
  {
    edit: { hook: "hook_embed", wgsl: "x * patch +\n  y", tensors: { patch: { shape: [1], data: new Float32Array(1) } } },
    says: /line 2, column 3: /,
  },
  {
    edit: { hook: "hook_embed", wgsl: "x * patch + y", tensors: { patch: { shape: [1], data: new Float32Array(1) } } },
    says: /line 1, column 13: /,
  },
  { edit: { hook: "hook_embed", wgsl: "index" }, says: /found «index»/ },
  { edit: { hook: "hook_embed", wgsl: "x; }" }, says: /expected one WGSL expression.*leave ; \{ \} away/ },
  { edit: { hook: "hook_embed", wgsl: "" }, says: /expected one WGSL expression/ },
  {
    edit: { hook: "hook_embed", wgsl: "x * t", tensors: { t: shape34 } },
    says: /tensor t: expected a shape that fits \[1, 3, 60\], found \[3, 4\]/,
  },
  {
    edit: { hook: "hook_embed", wgsl: "x", tensors: { t: { shape: [5], data: new Float32Array(4) } } },
    says: /expected 5 numbers for shape \[5\], found 4/,
  },
  { edit: { hook: "hook_embed", wgsl: "x", tensors: { x: shape34 } }, says: /tensor names of letters.*found «x»/ },
  {
    edit: { hook: "hook_embed", wgsl: "x", tensors: { a: shape34, b: shape34, c: shape34 } },
    says: /at most two tensors, found a, b, c/,
  },
]
test.each(bad)("refuses $edit", async ({ edit, says }) => {
  await expect(model.run([[1, 2, 3]], { edits: [edit] })).rejects.toThrow(says)
})
