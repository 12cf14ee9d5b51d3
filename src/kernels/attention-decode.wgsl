// Attention for passes with one token a row, as generation runs them: rotary embedding, the new entry of the cache and attention in
// one. A workgroup takes a token and a kv head with all GROUP query heads that share it, so that keys and values are loaded once
// for the group, and walks the keys in tiles (softmax online, as in attention-tiles.wgsl).
override KV_HEADS: u32;
override STRIDE_IN: u32;
override STRIDE_OUT: u32;
override SCALE: f32;

const HALF = HEAD_DIM / 2;
const LOWEST = -3.4e38;

// parts (of a head) bounds a loop: were it a constant, a CPU driver would unroll it and compile for seconds.
struct Parameters { capacity: u32, parts: u32 }

@group(0) @binding(0) var<storage, read> qkv: array<f32>; // not rotated
@group(0) @binding(1) var<storage, read_write> keys: array<Part>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read> prefixes: array<vec2u>;
@group(0) @binding(6) var<storage, read> table: array<vec2f>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<uniform> parameters: Parameters;

var<workgroup> turned: array<f32, (GROUP + 1) * HEAD_DIM>; // the group's queries and the key, rotated
var<workgroup> scores: array<f32, GROUP * TILE>;
var<workgroup> highest: array<f32, GROUP>;
var<workgroup> kept: array<f32, GROUP>; // what a new highest score leaves of the sums so far
var<workgroup> totals: array<f32, GROUP>; // total h belongs to lane h alone
var<workgroup> mixed: array<f32, GROUP * HEAD_DIM>; // column d of every head belongs to lane d % LANES alone

// Where the row's entry for a position begins in the cache.
fn entry(row: u32, prefix: vec2u, position: u32, kvHead: u32) -> u32 {
  let source = select(row, prefix.x, position < prefix.y);
  return ((source * parameters.capacity + position) * KV_HEADS + kvHead) * HEAD_DIM;
}

fn rotate(token: u32, kvHead: u32, position: u32, lane: u32) {
  for (var i = lane; i < (GROUP + 1) * HALF; i += LANES) {
    let head = i / HALF;
    let own = select(kvHead * GROUP + head, KV_HEADS * GROUP + kvHead, head == GROUP);
    let at = token * STRIDE_IN + own * HEAD_DIM + i % HALF;
    let pair = vec2f(qkv[at], qkv[at + HALF]);
    let turn = table[position * HALF + i % HALF];
    turned[head * HEAD_DIM + i % HALF] = pair.x * turn.x - pair.y * turn.y;
    turned[head * HEAD_DIM + HALF + i % HALF] = pair.y * turn.x + pair.x * turn.y;
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let kvHead = group.x;
  let token = group.y;
  let row = rows[token];
  let prefix = prefixes[row];
  let position = positions[token];

  rotate(token, kvHead, position, lane);
  for (var i = lane; i < GROUP * HEAD_DIM; i += LANES) { mixed[i] = 0; }
  if (lane < GROUP) {
    highest[lane] = LOWEST;
    totals[lane] = 0;
  }
  workgroupBarrier();
  let own = entry(row, prefix, position, kvHead);
  let value = token * STRIDE_IN + (KV_HEADS * (GROUP + 1) + kvHead) * HEAD_DIM;
  for (var i = lane; i < HEAD_DIM / PART; i += LANES) { keys[own / PART + i] = turnedPart(GROUP * HEAD_DIM + i * PART); }
  for (var d = lane; d < HEAD_DIM; d += LANES) { values[own + d] = qkv[value + d]; }
  storageBarrier();

  for (var first = 0u; first <= position; first += TILE) {
    let count = min(TILE, position + 1 - first);
    for (var i = lane; i < GROUP * TILE; i += LANES) {
      let k = i % TILE;
      var score = LOWEST;
      if (k < count) {
        let key = entry(row, prefix, first + k, kvHead) / PART;
        let query = i / TILE * HEAD_DIM;
        var products = Part(0);
        for (var j = 0u; j < parameters.parts; j++) { products += turnedPart(query + j * PART) * keys[key + j]; }
        score = SCALE * dot(products, Part(1));
      }
      scores[i] = score;
    }
    workgroupBarrier();
    if (lane < GROUP) {
      let before = highest[lane];
      var now = before;
      for (var k = 0u; k < count; k++) { now = max(now, scores[lane * TILE + k]); }
      highest[lane] = now;
      kept[lane] = exp(before - now);
    }
    workgroupBarrier();
    for (var i = lane; i < GROUP * TILE; i += LANES) { scores[i] = exp(scores[i] - highest[i / TILE]); } // now weights
    workgroupBarrier();
    if (lane < GROUP) {
      var total = kept[lane] * totals[lane];
      for (var k = 0u; k < count; k++) { total += scores[lane * TILE + k]; }
      totals[lane] = total;
    }
    for (var d = lane; d < HEAD_DIM; d += LANES) {
      var sums: array<f32, GROUP>;
      for (var h = 0u; h < GROUP; h++) { sums[h] = kept[h] * mixed[h * HEAD_DIM + d]; }
      for (var k = 0u; k < count; k++) {
        let v = values[entry(row, prefix, first + k, kvHead) + d];
        for (var h = 0u; h < GROUP; h++) { sums[h] += scores[h * TILE + k] * v; }
      }
      for (var h = 0u; h < GROUP; h++) { mixed[h * HEAD_DIM + d] = sums[h]; }
    }
    workgroupBarrier();
  }
  for (var i = lane; i < GROUP * HEAD_DIM; i += LANES) {
    out[token * STRIDE_OUT + kvHead * GROUP * HEAD_DIM + i] = mixed[i] / totals[i / HEAD_DIM];
  }
}
