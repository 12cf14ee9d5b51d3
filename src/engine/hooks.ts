import type { LlamaConfig } from "./config.ts"
import { InputError } from "./errors.ts"
import { nearest } from "./nearest.ts"

/**
 * Every internal that can be captured, by TransformerLens's names, in the order of the forward pass, with the shape of
 * one token's values. `hook_pattern` is [head, key]; `ln_final.hook_normalized` is, as there, before the norm's weight.
 */
export function hookShapes(config: LlamaConfig): Map<string, readonly number[]> {
  const { layers, hiddenSize, intermediateSize, heads, kvHeads, headDim } = config
  const residual = [hiddenSize]
  const shapes = new Map<string, readonly number[]>([["hook_embed", residual]])
  for (let l = 0; l < layers; l++) {
    const block = (rest: string, shape: readonly number[]): unknown => shapes.set(`blocks.${l}.${rest}`, shape)
    block("hook_resid_pre", residual)
    block("attn.hook_q", [heads, headDim])
    block("attn.hook_k", [kvHeads, headDim])
    block("attn.hook_v", [kvHeads, headDim])
    block("attn.hook_rot_q", [heads, headDim])
    block("attn.hook_rot_k", [kvHeads, headDim])
    block("attn.hook_pattern", [heads])
    block("attn.hook_z", [heads, headDim])
    block("hook_attn_out", residual)
    block("hook_resid_mid", residual)
    block("mlp.hook_pre", [intermediateSize])
    block("mlp.hook_pre_linear", [intermediateSize])
    block("mlp.hook_post", [intermediateSize])
    block("hook_mlp_out", residual)
    block("hook_resid_post", residual)
  }
  return shapes.set("ln_final.hook_normalized", residual)
}

/** Which internals: a name or several, `*` standing for any characters, or a function that says yes. */
export type HookSelection = string | readonly string[] | ((name: string) => boolean)

/**
 * The hook names that `selection` asks for, in the order of the forward pass.
 * @throws InputError when a name or a predicate matches nothing; it names the nearest valid names.
 */
export function selectHooks(config: LlamaConfig, selection: HookSelection, where: string): string[] {
  const names = [...hookShapes(config).keys()]
  if (typeof selection === "function") {
    const chosen = names.filter(selection)
    if (chosen.length > 0) return chosen
    throw new InputError({ where, expected: "a predicate that some internal satisfies", found: "none does" })
  }
  const wanted = new Set<string>()
  for (const pattern of typeof selection === "string" ? [selection] : selection) {
    const glob = new RegExp(`^${pattern.split("*").map(escape).join(".*")}$`)
    const matched = names.filter((name) => glob.test(name))
    if (matched.length === 0) {
      const todo = `the nearest are ${nearest(pattern, names, 3).join(", ")}`
      throw new InputError({ where, expected: "the name of an internal", found: `«${pattern}»`, todo })
    }
    for (const name of matched) wanted.add(name)
  }
  return names.filter((name) => wanted.has(name))
}

/** Attention patterns are [row, head, query, key], where everything else is [row, pos, ...]. */
export const isPattern = (name: string): boolean => name.endsWith("hook_pattern")

const escape = (text: string): string => text.replace(/[.+?^${}()|[\]\\]/g, "\\$&")
