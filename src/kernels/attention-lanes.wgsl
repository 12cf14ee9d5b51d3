// Attention without barriers, for adapters that compute on the CPU: a lane takes a token and a kv head with all GROUP query
// heads that share it, so that keys and values, which cost the most here, are loaded once for them (softmax online).
override KV_HEADS: u32;
override STRIDE_IN: u32;
override STRIDE_OUT: u32;
override SCALE: f32;

const PARTS = HEAD_DIM / PART;
const LOWEST = -3.4e38;

struct Parameters { capacity: u32, tokens: u32 }

@group(0) @binding(0) var<storage, read> qkv: array<Part>;
@group(0) @binding(1) var<storage, read> keys: array<Part>;
@group(0) @binding(2) var<storage, read> values: array<Part>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<Part>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (group.y * groups.x + group.x) * 8 + lane;
  let kvHead = id % KV_HEADS;
  let token = id / KV_HEADS;
  if (token >= parameters.tokens) { return; }
  let seen = positions[token] + 1;
  let step = KV_HEADS * PARTS;
  let cache = rows[token] * parameters.capacity * step + kvHead * PARTS;
  let first = kvHead * GROUP * PARTS;

  var query: array<Part, GROUP * PARTS>;
  var mixed: array<Part, GROUP * PARTS>;
  for (var i = 0u; i < GROUP * PARTS; i++) { query[i] = SCALE * qkv[token * (STRIDE_IN / PART) + first + i]; }

  var highest: array<f32, GROUP>;
  var total: array<f32, GROUP>;
  for (var h = 0u; h < GROUP; h++) { highest[h] = LOWEST; }

  for (var k = 0u; k < seen; k++) {
    let at = cache + k * step;
    var products = array<Part, GROUP>();
    for (var i = 0u; i < PARTS; i++) {
      let key = keys[at + i];
      for (var h = 0u; h < GROUP; h++) { products[h] += query[h * PARTS + i] * key; }
    }
    var kept: array<f32, GROUP>;
    var weight: array<f32, GROUP>;
    for (var h = 0u; h < GROUP; h++) {
      let score = dot(products[h], Part(1));
      let before = highest[h];
      highest[h] = max(before, score);
      kept[h] = exp(before - highest[h]);
      weight[h] = exp(score - highest[h]);
      total[h] = kept[h] * total[h] + weight[h];
    }
    for (var i = 0u; i < PARTS; i++) {
      let value = values[at + i];
      for (var h = 0u; h < GROUP; h++) { mixed[h * PARTS + i] = kept[h] * mixed[h * PARTS + i] + weight[h] * value; }
    }
  }
  for (var i = 0u; i < GROUP * PARTS; i++) {
    out[token * (STRIDE_OUT / PART) + first + i] = mixed[i] / total[i / PARTS];
  }
}
