// One query head of one token against its row's cache. A workgroup takes a (token, head) and walks the keys in tiles:
// a lane takes a key for the scores, and a column of the values for the result (softmax online, as in FlashAttention).
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32;
override STRIDE_IN: u32;
override STRIDE_OUT: u32;
override SCALE: f32;
override TILE: u32;

const LOWEST = -3.4e38;

// parts (of a head) bounds a loop: were it an `override`, a CPU driver would unroll it and compile for seconds.
struct Parameters { capacity: u32, parts: u32 }

@group(0) @binding(0) var<storage, read> qkv: array<Part>;
@group(0) @binding(1) var<storage, read> keys: array<Part>;
@group(0) @binding(2) var<storage, read> values: array<f32>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read> prefixes: array<vec2u>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;
@group(0) @binding(7) var<uniform> parameters: Parameters;

var<workgroup> query: array<Part, HEAD_DIM / PART>;
var<workgroup> scores: array<f32, TILE>;
var<workgroup> weights: array<f32, TILE>;
var<workgroup> mixed: array<f32, HEAD_DIM>; // column d belongs to lane d % TILE alone

// Where the row's entry for a position begins in the cache.
fn entry(row: u32, prefix: vec2u, position: u32, kvHead: u32) -> u32 {
  let source = select(row, prefix.x, position < prefix.y);
  return ((source * parameters.capacity + position) * KV_HEADS + kvHead) * HEAD_DIM;
}

@compute @workgroup_size(TILE)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = group.x;
  let token = group.y;
  let seen = positions[token] + 1;
  let row = rows[token];
  let prefix = prefixes[row];
  let kvHead = head / (HEADS / KV_HEADS);

  for (var i = lane; i < HEAD_DIM / PART; i += TILE) { query[i] = SCALE * qkv[(token * STRIDE_IN + head * HEAD_DIM) / PART + i]; }
  for (var d = lane; d < HEAD_DIM; d += TILE) { mixed[d] = 0; }
  workgroupBarrier();

  var highest = LOWEST;
  var total = 0.0;
  for (var first = 0u; first < seen; first += TILE) {
    let count = min(TILE, seen - first);
    var score = LOWEST;
    if (lane < count) {
      let key = entry(row, prefix, first + lane, kvHead) / PART;
      var products = Part(0);
      for (var i = 0u; i < parameters.parts; i++) { products += query[i] * keys[key + i]; }
      score = dot(products, Part(1));
    }
    scores[lane] = score;
    workgroupBarrier();

    let before = highest;
    for (var k = 0u; k < count; k++) { highest = max(highest, scores[k]); }
    weights[lane] = exp(score - highest);
    workgroupBarrier();

    let kept = exp(before - highest);
    total *= kept;
    for (var k = 0u; k < count; k++) { total += weights[k]; }
    for (var d = lane; d < HEAD_DIM; d += TILE) {
      var sum = kept * mixed[d];
      for (var k = 0u; k < count; k++) { sum += weights[k] * values[entry(row, prefix, first + k, kvHead) + d]; }
      mixed[d] = sum;
    }
  }
  for (var d = lane; d < HEAD_DIM; d += TILE) { out[token * STRIDE_OUT + head * HEAD_DIM + d] = mixed[d] / total; }
}
