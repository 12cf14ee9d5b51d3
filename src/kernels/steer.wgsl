// x[t] += coefficients[rows[t], v] * vectors[v], one v after the other. A lane takes four columns.
override STRIDE: u32;

struct Parameters { count: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> vectors: array<vec4f>;
@group(0) @binding(3) var<storage, read> coefficients: array<f32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= STRIDE / 4) { return; }
  let at = id.y * (STRIDE / 4) + id.x;
  let first = rows[id.y] * parameters.count;
  var sum = x[at];
  for (var v = 0u; v < parameters.count; v++) {
    let c = coefficients[first + v];
    // Adding 0 * vector would turn -0 into 0, and an infinite vector into NaN: an unsteered row keeps its bits.
    if (c != 0) { sum += c * vectors[v * (STRIDE / 4) + id.x]; }
  }
  x[at] = sum;
}
