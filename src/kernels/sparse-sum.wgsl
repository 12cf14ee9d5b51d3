// out[t] += the sum over i of values[t, i] * weights[indices[t, i] - firstRow], for the indices in this chunk of the weights.
// A lane takes eight columns.
struct Parameters {
  k: u32,
  eights: u32, // blocks of eight columns
  firstRow: u32,
  rows: u32,
}
struct Columns { low: vec4f, high: vec4f }

@group(0) @binding(0) var<storage, read> indices: array<u32>;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> weights: array<Packed8>;
@group(0) @binding(3) var<storage, read_write> out: array<Columns>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= parameters.eights) { return; }
  let at = id.y * parameters.eights + id.x;
  var low = out[at].low;
  var high = out[at].high;
  for (var i = id.y * parameters.k; i < (id.y + 1) * parameters.k; i++) {
    let value = values[i];
    let row = indices[i] - parameters.firstRow; // far too large where it is negative
    if (value != 0 && row < parameters.rows) {
      let w = unpack8(weights[row * parameters.eights + id.x]);
      low = fma(vec4f(value), w.low, low);
      high = fma(vec4f(value), w.high, high);
    }
  }
  out[at] = Columns(low, high);
}
