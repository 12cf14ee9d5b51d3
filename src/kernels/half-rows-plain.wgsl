// Rows as they are.
@group(0) @binding(0) var<storage, read> x: array<vec4u>; // the bits of f32 [tokens, stride]

fn prepare(token: u32, lane: u32) {}

fn quad(token: u32, k: u32) -> vec4u { return x[token * (parameters.stride / 4) + k]; }
