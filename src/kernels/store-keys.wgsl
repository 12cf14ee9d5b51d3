// Writes the keys of these tokens, as they stand in qkv, into the cache: after an edit of the rotated keys.
override KEY_WIDTH: u32;
override KEY_START: u32;
override STRIDE: u32;

struct Parameters { capacity: u32 }

@group(0) @binding(0) var<storage, read> qkv: array<f32>;
@group(0) @binding(1) var<storage, read_write> keys: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let column = group.x * 64 + lane;
  if (column >= KEY_WIDTH) { return; }
  let token = group.y;
  let slot = rows[token] * parameters.capacity + positions[token];
  keys[slot * KEY_WIDTH + column] = qkv[token * STRIDE + KEY_START + column];
}
