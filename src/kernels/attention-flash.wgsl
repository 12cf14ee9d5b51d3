// For GPUs and many tokens (FlashAttention, https://arxiv.org/abs/2205.14135). A query is a head of a token. A workgroup takes
// QUERIES consecutive ones of those that share a kv head, and walks the keys in tiles that start at multiples of KEYS: it stages
// a tile of keys, DEPTH parts of each at a time, then its values, MIX_KEYS at a time, once for all of its queries. A lane owns
// four queries (a quad) with LANE_KEYS keys of a tile, for the scores, and with LANE_PARTS parts of the result.
//
// The tokens may belong to several rows: runs of equal row are walked one after the other. What a lane keeps of a query changes
// in those tiles alone in which the query sees a key: so its bits depend neither on the other tokens nor on its place among them,
// and a NaN in a row stays there. Rows and positions are read at uniform indices, so barriers are in uniform control flow.

const QUERIES = QUADS * 4;
const LANES = QUADS * QUAD_LANES;
const LANE_KEYS = KEYS / QUAD_LANES;
const STRIDE = DEPTH + 1; // of staged queries and keys: odd, so that neighbouring lanes read from different banks
const KEYS_AT = QUERIES * STRIDE;
const COLUMNS = QUAD_LANES * LANE_PARTS; // of staged values: a head's parts, rounded up
const LOWEST = -3.4e38;

override KV_HEADS: u32;
override STRIDE_IN: u32;
override STRIDE_OUT: u32;
override SCALE: f32;

// parts (of a head) and quadLanes (QUAD_LANES) bound loops: a CPU driver would unroll those over constants, and compile for long.
struct Parameters { capacity: u32, tokens: u32, parts: u32, quadLanes: u32 }

@group(0) @binding(0) var<storage, read> qkv: array<Part>;
@group(0) @binding(1) var<storage, read> keys: array<Part>;
@group(0) @binding(2) var<storage, read> values: array<Part>;
@group(0) @binding(3) var<storage, read> rows: array<u32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read> prefixes: array<vec2u>; // (row, keys of the batch row that are read from that row)
@group(0) @binding(6) var<storage, read_write> out: array<Part>;
@group(0) @binding(7) var<uniform> parameters: Parameters;

var<workgroup> staged: array<Part, max(KEYS_AT + KEYS * STRIDE, MIX_KEYS * COLUMNS)>; // queries and keys, or values
var<workgroup> partial: array<vec4f, QUAD_LANES * QUADS>; // the highest score of a lane's keys, for each query of its quad
var<workgroup> weights: array<vec4f, KEYS * QUADS>;

// Consecutive tokens of one row: where they end in the list, and how many keys the last position sees.
struct Run { row: u32, end: u32, seen: u32 }

fn runAt(begin: u32, blockEnd: u32) -> Run {
  var run = Run(rows[begin], begin, 0);
  while (run.end < blockEnd && rows[run.end] == run.row) {
    run.seen = max(run.seen, positions[run.end] + 1);
    run.end++;
  }
  return run;
}

// Where the cache holds key `key` of a row, in parts; a key that no query of the run sees is read as the last one.
fn cacheAt(run: Run, key: u32, kvHead: u32) -> u32 {
  let k = min(key, run.seen - 1);
  let prefix = prefixes[run.row];
  let row = select(run.row, prefix.x, k < prefix.y);
  return ((row * parameters.capacity + k) * KV_HEADS + kvHead) * parameters.parts;
}

fn tokenOf(query: u32) -> u32 { return min(query / GROUP, parameters.tokens - 1); }
fn headOf(query: u32, kvHead: u32) -> u32 { return kvHead * GROUP + query % GROUP; }

// A quad's queries are staged QUADS apart: its neighbours' lie beside them.
fn stageQueries(lane: u32, first: u32, kvHead: u32, part: u32) {
  for (var i = lane; i < QUERIES * DEPTH; i += LANES) {
    let query = i / DEPTH;
    let at = part + i % DEPTH;
    if (at < parameters.parts) {
      let head = tokenOf(first + query) * (STRIDE_IN / PART) + headOf(first + query, kvHead) * parameters.parts;
      staged[(query % 4 * QUADS + query / 4) * STRIDE + i % DEPTH] = SCALE * qkv[head + at];
    }
  }
}

fn stageKeys(lane: u32, run: Run, first: u32, kvHead: u32, part: u32) {
  for (var i = lane; i < KEYS * DEPTH; i += LANES) {
    let at = part + i % DEPTH;
    if (at < parameters.parts) {
      staged[KEYS_AT + i / DEPTH * STRIDE + i % DEPTH] = keys[cacheAt(run, first + i / DEPTH, kvHead) + at];
    }
  }
}

fn stageValues(lane: u32, run: Run, first: u32, kvHead: u32) {
  for (var i = lane; i < MIX_KEYS * COLUMNS; i += LANES) {
    let column = i % COLUMNS;
    var value = Part(0);
    if (column < parameters.parts) { value = values[cacheAt(run, first + i / COLUMNS, kvHead) + column]; }
    staged[i] = value;
  }
}

// sum + a . b, one product after the other.
fn addProducts(a: Part, b: Part, sum: f32) -> f32 {
  var added = sum;
  for (var i = 0u; i < PART; i++) { added = fma(a[i], b[i], added); }
  return added;
}

// The scores of a lane's keys, key k * QUAD_LANES + within of the tile at [k]; not computed for a quad that sees none of them.
fn scoreTile(lane: u32, run: Run, first: u32, firstQuery: u32, kvHead: u32, sees: bool) -> array<vec4f, LANE_KEYS> {
  let quad = lane / QUAD_LANES;
  let within = lane % QUAD_LANES;
  var scores = array<vec4f, LANE_KEYS>();
  for (var part = 0u; part < parameters.parts; part += DEPTH) {
    stageQueries(lane, firstQuery, kvHead, part);
    stageKeys(lane, run, first, kvHead, part);
    workgroupBarrier();
    if (sees) {
      for (var at = part; at < min(part + DEPTH, parameters.parts); at++) {
        var key = array<Part, LANE_KEYS>();
        for (var k = 0u; k < LANE_KEYS; k++) { key[k] = staged[KEYS_AT + (k * QUAD_LANES + within) * STRIDE + at - part]; }
        for (var q = 0u; q < 4; q++) {
          let query = staged[(q * QUADS + quad) * STRIDE + at - part];
          for (var k = 0u; k < LANE_KEYS; k++) { scores[k][q] = addProducts(query, key[k], scores[k][q]); }
        }
      }
    }
    workgroupBarrier();
  }
  return scores;
}

// What a lane knows of its quad's queries after some tiles.
struct Mix { highest: vec4f, total: vec4f, sums: array<array<Part, LANE_PARTS>, 4> }

// Turns scores into weights, which all lanes of the quad read after the next barrier, and scales what was summed to the new highest.
fn weigh(lane: u32, first: u32, seen: vec4u, given: array<vec4f, LANE_KEYS>, mix: ptr<function, Mix>) {
  let quad = lane / QUAD_LANES;
  let within = lane % QUAD_LANES;
  var scores = given;
  var high = vec4f(LOWEST);
  for (var k = 0u; k < LANE_KEYS; k++) {
    scores[k] = select(vec4f(LOWEST), scores[k], vec4u(first + k * QUAD_LANES + within) < seen);
    high = max(high, scores[k]);
  }
  partial[within * QUADS + quad] = high;
  workgroupBarrier();

  let before = mix.highest;
  for (var i = 0u; i < parameters.quadLanes; i++) { mix.highest = max(mix.highest, partial[i * QUADS + quad]); }
  for (var k = 0u; k < LANE_KEYS; k++) { weights[(k * QUAD_LANES + within) * QUADS + quad] = exp(scores[k] - mix.highest); }
  let kept = exp(before - mix.highest);
  let sees = seen > vec4u(first);
  mix.total = select(mix.total, mix.total * kept, sees);
  for (var q = 0u; q < 4; q++) {
    for (var p = 0u; p < LANE_PARTS; p++) { mix.sums[q][p] = select(mix.sums[q][p], mix.sums[q][p] * kept[q], sees[q]); }
  }
}

// Adds the tile's values by their weights. An unseen value is not added with weight 0, since it may be NaN.
fn addValues(lane: u32, run: Run, first: u32, kvHead: u32, seen: vec4u, mix: ptr<function, Mix>) {
  let quad = lane / QUAD_LANES;
  let within = lane % QUAD_LANES;
  let end = min(first + KEYS, run.seen);
  for (var begin = first; begin < end; begin += MIX_KEYS) {
    stageValues(lane, run, begin, kvHead);
    workgroupBarrier();
    for (var key = begin; key < min(begin + MIX_KEYS, end); key++) {
      let weight = weights[(key - first) * QUADS + quad];
      let sees = vec4u(key) < seen;
      var value = array<Part, LANE_PARTS>();
      for (var p = 0u; p < LANE_PARTS; p++) { value[p] = staged[(key - begin) * COLUMNS + p * QUAD_LANES + within]; }
      mix.total = select(mix.total, mix.total + weight, sees);
      for (var q = 0u; q < 4; q++) {
        for (var p = 0u; p < LANE_PARTS; p++) {
          mix.sums[q][p] = select(mix.sums[q][p], fma(Part(weight[q]), value[p], mix.sums[q][p]), sees[q]);
        }
      }
    }
    workgroupBarrier();
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let kvHead = group.y;
  let firstQuery = group.x * QUERIES;
  let firstOfQuad = firstQuery + lane / QUAD_LANES * 4;
  let blockEnd = min((firstQuery + QUERIES - 1) / GROUP + 1, parameters.tokens);

  var tokens: vec4u; // of the quad's queries; those after the last token belong to no run
  var ends: vec4u; // how many keys each sees
  for (var q = 0u; q < 4; q++) {
    tokens[q] = (firstOfQuad + q) / GROUP;
    ends[q] = positions[tokenOf(firstOfQuad + q)] + 1;
  }

  var mix = Mix(vec4f(LOWEST), vec4f(), array<array<Part, LANE_PARTS>, 4>());
  for (var begin = firstQuery / GROUP; begin < blockEnd;) {
    let run = runAt(begin, blockEnd);
    let seen = select(vec4u(), ends, (tokens >= vec4u(begin)) & (tokens < vec4u(run.end)));
    for (var first = 0u; first < run.seen; first += KEYS) {
      let scores = scoreTile(lane, run, first, firstQuery, kvHead, any(seen > vec4u(first)));
      weigh(lane, first, seen, scores, &mix);
      addValues(lane, run, first, kvHead, seen, &mix);
    }
    begin = run.end;
  }

  for (var q = 0u; q < 4; q++) {
    if (tokens[q] < parameters.tokens) {
      let result = tokens[q] * (STRIDE_OUT / PART) + headOf(firstOfQuad + q, kvHead) * parameters.parts;
      for (var p = 0u; p < LANE_PARTS; p++) {
        let column = p * QUAD_LANES + lane % QUAD_LANES;
        if (column < parameters.parts) { out[result + column] = mix.sums[q][p] / mix.total[q]; }
      }
    }
  }
}
