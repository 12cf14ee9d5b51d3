/** Precisions in which weights stay on the GPU, as they are stored in the checkpoint. */
export type WeightType = "f32" | "f16" | "bf16"

export const bytesPerWeight: Readonly<Record<WeightType, number>> = { f32: 4, f16: 2, bf16: 2 }

const UNPACK16: Readonly<Record<"f16" | "bf16", string>> = {
  f16: "fn unpack2(word: u32) -> vec2f { return unpack2x16float(word); }",
  bf16: "fn unpack2(word: u32) -> vec2f { return vec2f(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u)); }",
}

/**
 * WGSL to put before a kernel that reads weights: `Packed4` and `Packed8` are the types of four and eight
 * neighbouring weights in a storage array, `unpack4` and `unpack8` give them as f32. Needs no shader-f16.
 */
export function weightCode(type: WeightType): string {
  if (type === "f32") {
    return `
alias Packed4 = vec4f;
struct Packed8 { low: vec4f, high: vec4f }
struct Eight { low: vec4f, high: vec4f }
fn unpack4(p: Packed4) -> vec4f { return p; }
fn unpack8(p: Packed8) -> Eight { return Eight(p.low, p.high); }
`
  }
  return `
alias Packed4 = vec2u;
alias Packed8 = vec4u;
struct Eight { low: vec4f, high: vec4f }
${UNPACK16[type]}
fn unpack4(p: Packed4) -> vec4f { return vec4f(unpack2(p.x), unpack2(p.y)); }
fn unpack8(p: Packed8) -> Eight { return Eight(vec4f(unpack2(p.x), unpack2(p.y)), vec4f(unpack2(p.z), unpack2(p.w))); }
`
}
