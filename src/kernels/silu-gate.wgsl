// out = silu(gate) * up. A lane takes a part of the columns.
override WIDTH: u32;
override STRIDE_IN: u32;
override STRIDE_OUT: u32;

@group(0) @binding(0) var<storage, read> gateUp: array<Part>;
@group(0) @binding(1) var<storage, read_write> out: array<Part>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= WIDTH / PART) { return; }
  let gate = gateUp[id.y * (STRIDE_IN / PART) + id.x];
  let up = gateUp[id.y * (STRIDE_IN / PART) + WIDTH / PART + id.x];
  // exp overflows beyond 88, where silu is 0 already: WGSL does not promise what an infinity divides to.
  out[id.y * (STRIDE_OUT / PART) + id.x] = gate / (1 + exp(min(-gate, Part(87)))) * up;
}
