// out[t, head] = sum over keys of pattern[t, head, key] * values[row, key]: attention from a pattern that was looked at or edited.
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32;
override STRIDE_OUT: u32;

struct Parameters { capacity: u32, keys: u32 }

@group(0) @binding(0) var<storage, read> pattern: array<f32>;
@group(0) @binding(1) var<storage, read> values: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let column = group.x * 64 + lane;
  if (column >= HEADS * HEAD_DIM) { return; }
  let token = group.y;
  let head = column / HEAD_DIM;
  let row = rows[token] * parameters.capacity;
  let column0 = head / (HEADS / KV_HEADS) * HEAD_DIM + column % HEAD_DIM;
  var sum = 0.0;
  for (var key = 0u; key <= positions[token]; key++) {
    sum += pattern[(token * HEADS + head) * parameters.keys + key] * values[(row + key) * KV_HEADS * HEAD_DIM + column0];
  }
  out[token * STRIDE_OUT + column] = sum;
}
