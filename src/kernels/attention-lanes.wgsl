// Attention without barriers, for adapters that compute on the CPU: a lane takes a token and a kv head with all GROUP query
// heads that share it, and walks the keys KEYS at a time (softmax online). What costs there is loads, to run and to compile:
// keys and values are loaded once for the group; query and result, which stay in memory, once for KEYS keys; and
// the loops over the head's parts are bounded by a parameter, so that no compiler unrolls them.
override KV_HEADS: u32;
override STRIDE_IN: u32;
override STRIDE_OUT: u32;
override SCALE: f32;

const KEYS = 4u;
const LOWEST = -3.4e38;

struct Parameters { capacity: u32, tokens: u32, parts: u32 }

@group(0) @binding(0) var<storage, read> qkv: array<Part>;
@group(0) @binding(1) var<storage, read> keys: array<Part>;
@group(0) @binding(2) var<storage, read> values: array<Part>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read> prefixes: array<vec2u>;
@group(0) @binding(6) var<storage, read_write> out: array<Part>;
@group(0) @binding(7) var<uniform> parameters: Parameters;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let id = (group.y * groups.x + group.x) * 8 + lane;
  let kvHead = id % KV_HEADS;
  let token = id / KV_HEADS;
  if (token >= parameters.tokens) { return; }
  let parts = parameters.parts;
  let last = positions[token];
  let query = token * (STRIDE_IN / PART) + kvHead * GROUP * parts;
  let result = token * (STRIDE_OUT / PART) + kvHead * GROUP * parts;
  let row = rows[token];
  let prefix = prefixes[row];

  var highest: array<f32, GROUP>;
  var total: array<f32, GROUP>;
  for (var h = 0u; h < GROUP; h++) { highest[h] = LOWEST; }

  for (var first = 0u; first <= last; first += KEYS) {
    var at: array<u32, KEYS>; // keys after the last are loaded as the last, and weigh nothing
    for (var k = 0u; k < KEYS; k++) {
      let position = min(first + k, last);
      let source = select(row, prefix.x, position < prefix.y);
      at[k] = ((source * parameters.capacity + position) * KV_HEADS + kvHead) * parts;
    }

    // Written out, since Dawn 0.6.2 on lavapipe keeps a `var` without a value from one turn of a loop to the next.
    var products = array<Part, GROUP * KEYS>();
    for (var i = 0u; i < parts; i++) {
      var key: array<Part, KEYS>;
      for (var k = 0u; k < KEYS; k++) { key[k] = keys[at[k] + i]; }
      for (var h = 0u; h < GROUP; h++) {
        let q = qkv[query + h * parts + i];
        for (var k = 0u; k < KEYS; k++) { products[h * KEYS + k] += q * key[k]; }
      }
    }

    var kept: array<f32, GROUP>;
    var weights: array<f32, GROUP * KEYS>;
    for (var h = 0u; h < GROUP; h++) {
      let before = highest[h];
      for (var k = 0u; k < KEYS; k++) {
        let score = select(LOWEST, SCALE * dot(products[h * KEYS + k], Part(1)), first + k <= last);
        weights[h * KEYS + k] = score;
        highest[h] = max(highest[h], score);
      }
      kept[h] = exp(before - highest[h]);
      total[h] *= kept[h];
      for (var k = 0u; k < KEYS; k++) {
        weights[h * KEYS + k] = exp(weights[h * KEYS + k] - highest[h]);
        total[h] += weights[h * KEYS + k];
      }
    }

    for (var i = 0u; i < parts; i++) {
      var value: array<Part, KEYS>;
      for (var k = 0u; k < KEYS; k++) { value[k] = values[at[k] + i]; }
      for (var h = 0u; h < GROUP; h++) {
        var sum = Part(0);
        if (first > 0) { sum = kept[h] * out[result + h * parts + i]; }
        for (var k = 0u; k < KEYS; k++) { sum += weights[h * KEYS + k] * value[k]; }
        if (first + KEYS > last) { sum /= total[h]; }
        out[result + h * parts + i] = sum;
      }
    }
  }
}
