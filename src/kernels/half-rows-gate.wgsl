// silu(gate) * up of rows, as silu-gate.wgsl computes it: the same bits. A row is read twice rather than kept: it is too long for
// workgroup memory.
override WIDTH: u32;
override STRIDE_IN: u32;

@group(0) @binding(0) var<storage, read> gateUp: array<Part>; // [tokens, STRIDE_IN]

fn prepare(token: u32, lane: u32) {}

// Zeros past the width.
fn gated(token: u32, part: u32) -> Part {
  if (part >= WIDTH / PART) { return Part(); }
  let gate = gateUp[token * (STRIDE_IN / PART) + part];
  let up = gateUp[token * (STRIDE_IN / PART) + WIDTH / PART + part];
  return gate / (1 + exp(min(-gate, Part(87)))) * up;
}
