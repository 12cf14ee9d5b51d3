// out = silu(gate) * up. A lane takes a column; widths that are no multiple of 4 leave no aligned vectors to load.
override WIDTH: u32;
override STRIDE_IN: u32;
override STRIDE_OUT: u32;

@group(0) @binding(0) var<storage, read> gateUp: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= WIDTH) { return; }
  let gate = gateUp[id.y * STRIDE_IN + id.x];
  let up = gateUp[id.y * STRIDE_IN + WIDTH + id.x];
  // exp overflows beyond 88, where silu is 0 already: WGSL does not promise what an infinity divides to.
  out[id.y * STRIDE_OUT + id.x] = gate / (1 + exp(min(-gate, 87))) * up;
}
