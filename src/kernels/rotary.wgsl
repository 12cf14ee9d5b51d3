// Rotates queries and keys in place and puts keys and values into the cache. A lane takes the pair (i, i + half) of a head.
override HEADS: u32;
override KV_HEADS: u32;
override HALF: u32;
override STRIDE: u32;

struct Parameters { capacity: u32 }

@group(0) @binding(0) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(1) var<storage, read_write> keys: array<f32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read> table: array<vec2f>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let head = id.x / HALF;
  let i = id.x % HALF;
  let token = id.y;
  if (head >= HEADS + 2 * KV_HEADS) { return; }
  let position = positions[token];
  let at = token * STRIDE + head * 2 * HALF + i;
  let slot = (rows[token] * parameters.capacity + position) * KV_HEADS;
  var pair = vec2f(qkv[at], qkv[at + HALF]);
  if (head >= HEADS + KV_HEADS) {
    let to = (slot + head - HEADS - KV_HEADS) * 2 * HALF + i;
    values[to] = pair.x;
    values[to + HALF] = pair.y;
    return;
  }
  let turn = table[position * HALF + i];
  pair = vec2f(pair.x * turn.x - pair.y * turn.y, pair.y * turn.x + pair.x * turn.y);
  qkv[at] = pair.x;
  qkv[at + HALF] = pair.y;
  if (head >= HEADS) {
    let to = (slot + head - HEADS) * 2 * HALF + i;
    keys[to] = pair.x;
    keys[to + HALF] = pair.y;
  }
}
