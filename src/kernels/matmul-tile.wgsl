// For GPUs. A workgroup owns a tile of TILE_TOKENS x TILE_ROWS sums and stages DEPTH columns of its inputs in workgroup memory,
// k-major; a lane owns LANE_TOKENS x LANE_ROWS outputs in registers. A lane's tokens come in fours (one 16-byte read each), fours
// and rows lie apart, so that neighbouring lanes read neighbouring words: no bank conflicts.
@group(0) @binding(0) var<storage, read> x: array<vec4f>;

const ROW_LANES = TILE_ROWS / LANE_ROWS;
const LANE_FOURS = LANE_TOKENS / 4;
const TOKEN_LANES = TILE_TOKENS / LANE_TOKENS;
const LANES = ROW_LANES * TOKEN_LANES;

var<workgroup> xs: array<vec4f, DEPTH * TILE_TOKENS / 4>;
var<workgroup> ws: array<f32, DEPTH * TILE_ROWS>;
// A token's squares by (k / 4) % SLOTS: added in an order that is the same in tiles of any depth.
const SLOTS = 16u;
var<workgroup> squares: array<vec4f, select(1u, SLOTS * TILE_TOKENS / 4, NORMED)>;

fn input4(token: u32, k: u32) -> vec4f {
  if (k >= parameters.stride) { return vec4f(); }
  return x[(min(token, lastToken()) * parameters.stride + k) / 4];
}

// Blocks of 4 tokens x 4 columns, transposed in registers.
fn stageInputs(lane: u32, token0: u32, k0: u32) {
  for (var i = lane; i < TILE_TOKENS * DEPTH / 16; i += LANES) {
    let four = i / (DEPTH / 4);
    let token = token0 + four * 4;
    let k = i % (DEPTH / 4) * 4;
    var tokens = mat4x4f(input4(token, k0 + k), input4(token + 1, k0 + k), input4(token + 2, k0 + k), input4(token + 3, k0 + k));
    if (NORMED && k0 + k < parameters.stride) {
      let square = vec4f(dot(tokens[0], tokens[0]), dot(tokens[1], tokens[1]), dot(tokens[2], tokens[2]), dot(tokens[3], tokens[3]));
      squares[(k0 + k) / 4 % SLOTS * (TILE_TOKENS / 4) + four] += square;
      for (var t = 0u; t < 4; t++) { tokens[t] = weighed(tokens[t], (k0 + k) / 4); }
    }
    let block = transpose(tokens);
    for (var j = 0u; j < 4; j++) { xs[(k + j) * (TILE_TOKENS / 4) + four] = block[j]; }
  }
}

fn stageWeights(lane: u32, group: u32, k0: u32) {
  for (var i = lane; i < TILE_ROWS * DEPTH / 8; i += LANES) {
    let slot = i / (DEPTH / 8);
    let k = i % (DEPTH / 8) * 8;
    let pair = pairOf(group, TILE_ROWS / 2, slot % (TILE_ROWS / 2));
    let row = min(select(pair.x, pair.y, slot >= TILE_ROWS / 2), lastRow());
    var eight = Eight();
    if (k0 + k < parameters.stride) { eight = unpack8(weights[(row * parameters.stride + k0 + k) / 8]); }
    for (var j = 0u; j < 4; j++) {
      ws[(k + j) * TILE_ROWS + slot] = eight.low[j];
      ws[(k + 4 + j) * TILE_ROWS + slot] = eight.high[j];
    }
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let token0 = group.y * TILE_TOKENS;
  let rowLane = lane % ROW_LANES;
  let tokenLane = lane / ROW_LANES;
  var sums: array<array<vec4f, LANE_ROWS>, LANE_FOURS>;
  if (NORMED) {
    for (var i = lane; i < SLOTS * TILE_TOKENS / 4; i += LANES) { squares[i] = vec4f(); }
    workgroupBarrier();
  }
  for (var k0 = 0u; k0 < parameters.stride; k0 += DEPTH) {
    stageInputs(lane, token0, k0);
    stageWeights(lane, group.x, k0);
    workgroupBarrier();
    for (var k = 0u; k < DEPTH; k++) {
      var w: array<f32, LANE_ROWS>;
      for (var r = 0u; r < LANE_ROWS; r++) { w[r] = ws[k * TILE_ROWS + r * ROW_LANES + rowLane]; }
      for (var t = 0u; t < LANE_FOURS; t++) {
        let four = xs[k * (TILE_TOKENS / 4) + t * TOKEN_LANES + tokenLane];
        for (var r = 0u; r < LANE_ROWS; r++) { sums[t][r] = fma(four, vec4f(w[r]), sums[t][r]); }
      }
    }
    workgroupBarrier();
  }
  for (var t = 0u; t < LANE_FOURS; t++) {
    let four = t * TOKEN_LANES + tokenLane;
    var scale = vec4f(1);
    if (NORMED) {
      var square = vec4f();
      for (var s = 0u; s < SLOTS; s++) { square += squares[s * (TILE_TOKENS / 4) + four]; }
      for (var i = 0u; i < 4; i++) { scale[i] = normScale(square[i]); }
    }
    for (var r = 0u; r < LANE_ROWS / 2; r++) {
      let pair = pairOf(group.x, TILE_ROWS / 2, r * ROW_LANES + rowLane);
      for (var i = 0u; i < 4; i++) {
        writePair(token0 + four * 4 + i, pair, vec2f(sums[t][r][i], sums[t][r + LANE_ROWS / 2][i]) * scale[i]);
      }
    }
  }
}
