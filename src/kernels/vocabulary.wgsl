// What choosing the next token shares, greedy or sampled. One workgroup serves one row.
//
// Logits are handled as u32 keys in the order of the floats, so that NaN and infinity are seen by their bits: a WGSL
// compiler may assume that floats are neither. The key 0 lies below all of them and marks what is no token.
//
// parameters.halfLanes is lanes / 2. Reductions take it from there because a loop of constant length would be unrolled,
// barriers and all, which costs software adapters seconds of compiling.
override vocab: u32;
override lanes: u32;

override quads = (vocab + 3) / 4;
override rowQuads = (vocab + 7) / 8 * 2;
override seenWords = (vocab + 31) / 32;

const NAN_KEY = 0xffffffffu;
const MINUS_INFINITY_KEY = 0x007fffffu;
const MAGNITUDE = 0x7fffffffu;
const INFINITY = 0x7f800000u;
const NOT_A_NUMBER = 0xffffffffu;

@group(0) @binding(0) var<storage, read> logits: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> seen: array<u32>;
@group(0) @binding(2) var<storage, read_write> ids: array<u32>;
@group(0) @binding(3) var<storage, read_write> positions: array<u32>;
@group(0) @binding(4) var<storage, read_write> history: array<u32>;

struct Best { key: u32, id: u32 }
var<workgroup> laneBest: array<Best, lanes>;

fn keysOf(values: vec4f) -> vec4u {
  let bits = bitcast<vec4u>(values);
  let one = select(bits, vec4u(0), bits == vec4u(0x80000000)); // -0 ties with 0
  return select(one | vec4u(0x80000000), ~one, one > vec4u(MAGNITUDE));
}

fn valuesOf(keys: vec4u) -> vec4f {
  return bitcast<vec4f>(select(~keys, keys & vec4u(MAGNITUDE), keys > vec4u(MAGNITUDE)));
}

/// The keys of four neighbouring tokens' logits after the repetition penalty; 0 beyond the vocabulary.
fn penalisedKeys(row: u32, quad: u32, penalty: f32) -> vec4u {
  let bits = logits[row * rowQuads + quad];
  let values = bitcast<vec4f>(bits);
  let lane = vec4u(0, 1, 2, 3);
  let repeated = ((vec4u(seen[row * seenWords + quad / 8]) >> (lane + quad % 8 * 4)) & vec4u(1)) == vec4u(1);
  let finite = (bits & vec4u(MAGNITUDE)) < vec4u(INFINITY);
  let punished = select(values * penalty, values / penalty, values > vec4f(0));
  let keys = keysOf(select(values, punished, repeated & finite));
  let isNan = (bits & vec4u(MAGNITUDE)) > vec4u(INFINITY);
  return select(vec4u(0), select(keys, vec4u(NAN_KEY), isNan), lane + quad * 4 < vec4u(vocab));
}

/// The row's highest key and the lowest id that has it. The key is NAN_KEY when any logit is NaN.
fn bestOfRow(row: u32, lane: u32, penalty: f32) -> Best {
  var best = Best(0, 0);
  for (var quad = lane; quad < quads; quad += lanes) {
    let keys = penalisedKeys(row, quad, penalty);
    for (var i = 0u; i < 4; i++) {
      if (keys[i] > best.key) { best = Best(keys[i], quad * 4 + i); }
    }
  }
  laneBest[lane] = best;
  for (var half = parameters.halfLanes; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) {
      let a = laneBest[lane];
      let b = laneBest[lane + half];
      if (b.key > a.key || (b.key == a.key && b.id < a.id)) { laneBest[lane] = b; }
    }
  }
  return workgroupUniformLoad(&laneBest[0]);
}

/// Hands the token to the next step. One lane calls this, after all have read `seen`.
fn record(row: u32, place: u32, token: u32) {
  ids[row] = token;
  positions[row] += 1;
  history[place] = token;
  seen[row * seenWords + token / 32] |= 1u << (token % 32);
}

/// Tells the host, which reads the history, that the row's logits hold NaN.
fn recordNan(row: u32, place: u32) {
  ids[row] = 0;
  positions[row] += 1;
  history[place] = NOT_A_NUMBER;
}
