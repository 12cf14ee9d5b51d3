// out[i] = x[index[i]]. A lane takes four columns.
override STRIDE: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= STRIDE / 4) { return; }
  out[id.y * (STRIDE / 4) + id.x] = x[index[id.y] * (STRIDE / 4) + id.x];
}
