import { mkdirSync, writeFileSync } from "node:fs"
import { expect } from "vitest"
import { encodeSafetensors, SteeringVector } from "../../src/index.ts"
import type { CommandLine } from "./cli.ts"

/** A vector of ones at a layer. */
function ones(layer: number, width = 256, modelHint = "tiny-talk"): SteeringVector {
  return new SteeringVector([[layer, new Float32Array(width).fill(1)]], { modelHint, method: "test" })
}

/** A copy of bytes with the first occurrence of `text` replaced by another as long, or bytes `after` it. */
function changed(bytes: Uint8Array, text: string, to: string | { after: number; byte: number }): Uint8Array {
  const copy = Buffer.from(bytes)
  const place = copy.indexOf(text)
  expect(place).toBeGreaterThan(0)
  if (typeof to === "string") copy.write(to, place)
  else copy[place + text.length + to.after] = to.byte
  return copy
}

const LINES: Readonly<Record<string, string>> = {
  "empty-side.jsonl": '{"positive": "I am happy", "negative": "  "}\n',
  "equal-sides.jsonl": '{"positive": "I am happy", "negative": "I am happy"}\n',
  "one-pair.jsonl": '{"positive": "I am happy", "negative": "I am sad"}\n',
  "two-pairs.jsonl": '{"positive": "I am a", "negative": "I am b"}\n{"positive": "I am c", "negative": "I am d"}\n',
}

/** Writes vectors, pairs, edits and autoencoders, good and bad ones, into the command line's scratch folder. */
export function writeVectorFiles(cli: CommandLine): void {
  const gguf = ones(3).toGguf()
  const files: Record<string, string | Uint8Array> = {
    ...LINES,
    "three.gguf": gguf,
    "four.safetensors": ones(4).toSafetensors(),
    "zero.safetensors": ones(0).toSafetensors(),
    "other.safetensors": ones(3, 256, "another model").toSafetensors(),
    "narrow.safetensors": ones(3, 255).toSafetensors(),
    "wide.gguf": ones(3, 4096, "Llama-3-8B").toGguf(),
    "architecture.gguf": changed(gguf, "controlvector", "controlvektor"),
    "version-1.gguf": gguf.with(4, 1),
    "version-2.gguf": gguf.with(4, 2),
    "truncated.gguf": gguf.subarray(0, gguf.length - 100),
    "direction-0.gguf": changed(gguf, "direction.3", "direction.0"),
    "f16.gguf": changed(gguf, "direction.3", { after: 12, byte: 1 }), // the type, after a count and one dimension
    "no-vector.gguf": "not at all",
    "patch.safetensors": encodeSafetensors(new Map([["patch", { shape: [256], data: new Float32Array(256).fill(2) }]])),
    "suffixes.txt": "I live\nI walk\nI see the\nI had\n",
    "edits.json": JSON.stringify([
      { hook: "blocks.3.hook_mlp_out", wgsl: "x * (1.0 - mask)", tensors: { mask: { shape: [1], data: [1] } } },
      { hook: "blocks.3.hook_mlp_out", wgsl: "x + patch", tensors: { patch: { file: "patch.safetensors", tensor: "patch" } } },
    ]),
  }
  for (const [name, content] of Object.entries(files)) writeFileSync(cli.at(name), content)
  const edits: Record<string, unknown> = {
    "no-list": {},
    "no-edit": [{ hook: "hook_embed", wgsl: "x" }, 3],
    "no-wgsl": [{ hook: "hook_embed" }],
    "unknown-key": [{ hook: "hook_embed", wgsl: "x", tensor: {} }],
    "no-compile": [
      { hook: "hook_embed", wgsl: "x" },
      { hook: "hook_embed", wgsl: "x +\n  sine(x)" },
    ],
    "no-hook": [{ hook: "blocks.9.hook_resid_post", wgsl: "x" }],
    "short": [{ hook: "hook_embed", wgsl: "x + p", tensors: { p: { shape: [2], data: [1] } } }],
    "misfit": [{ hook: "hook_embed", wgsl: "x + p", tensors: { p: { shape: [2], data: [1, 2] } } }],
    "no-file": [{ hook: "hook_embed", wgsl: "x + p", tensors: { p: { file: "nowhere.safetensors", tensor: "p" } } }],
    "no-tensor": [{ hook: "hook_embed", wgsl: "x + p", tensors: { p: { file: "patch.safetensors", tensor: "path" } } }],
  }
  for (const [name, list] of Object.entries(edits)) writeFileSync(cli.at(`edits-${name}.json`), JSON.stringify(list))
  writeFileSync(cli.at("edits-no-json.json"), "[{")
  mkdirSync(cli.at("sae/layers.2"), { recursive: true })
  writeFileSync(cli.at("sae/layers.2/cfg.json"), JSON.stringify({ d_in: 512, num_latents: 64, k: 4 }))
}
