// x += bias in every row, then max(x, 0) where the kernel rectifies. A lane takes four columns.
override STRIDE: u32;
override RECTIFY: bool;

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> bias: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= STRIDE / 4) { return; }
  let at = id.y * (STRIDE / 4) + id.x;
  let sum = x[at] + bias[id.x];
  x[at] = select(sum, max(sum, vec4f()), RECTIFY);
}
