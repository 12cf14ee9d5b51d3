// out[t * outStride + outOffset + n] = the sum of the splits' parts, from the first to the last; += where it adds.
struct Parameters { tokens: u32, outStride: u32, outOffset: u32, rows: u32, splits: u32, adds: u32 }

@group(0) @binding(0) var<storage, read> parts: array<f32>; // [splits, tokens, rows]
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  let token = id.y;
  if (row >= parameters.rows) { return; }
  var sum = 0f;
  for (var split = 0u; split < parameters.splits; split++) {
    sum += parts[(split * parameters.tokens + token) * parameters.rows + row];
  }
  let at = token * parameters.outStride + parameters.outOffset + row;
  if (parameters.adds != 0) { sum += out[at]; }
  out[at] = sum;
}
