// For few tokens on GPUs, where memory is the limit: a workgroup owns 4 rows of TOKENS tokens, its lanes share out k with one
// 16-byte load of 16-bit weights a row. The sums meet in one of two ways, matmul-reduce-*.wgsl.
@group(0) @binding(0) var<storage, read> x: array<vec4f>;

struct Sums {
  rows: array<vec4f, TOKENS>,
  squares: array<f32, TOKENS>,
}

fn rowsOf(group: u32) -> array<vec2u, 2> { return array(pairOf(group, 2, 0), pairOf(group, 2, 1)); }

// A lane's share of the sums: products with rows 0, 1 and their partners, and the squares of a token that is normed.
fn sumsOf(lane: u32, group: vec3u) -> Sums {
  let eights = parameters.stride / 8;
  let pairs = rowsOf(group.x);
  let rows = min(vec4u(pairs[0].x, pairs[1].x, pairs[0].y, pairs[1].y), vec4u(lastRow())) * eights;
  var starts: array<u32, TOKENS>;
  for (var t = 0u; t < TOKENS; t++) { starts[t] = min(group.y * TOKENS + t, lastToken()) * eights * 2; }
  var sums = Sums();
  for (var k = lane; k < eights; k += LANES) {
    let w0 = unpack8(weights[rows.x + k]);
    let w1 = unpack8(weights[rows.y + k]);
    let w2 = unpack8(weights[rows.z + k]);
    let w3 = unpack8(weights[rows.w + k]);
    let lows = mat4x4f(w0.low, w1.low, w2.low, w3.low);
    let highs = mat4x4f(w0.high, w1.high, w2.high, w3.high);
    for (var t = 0u; t < TOKENS; t++) {
      let low = x[starts[t] + k * 2];
      let high = x[starts[t] + k * 2 + 1];
      if (NORMED) { sums.squares[t] += dot(low, low) + dot(high, high); }
      sums.rows[t] += weighed(low, k * 2) * lows + weighed(high, k * 2 + 1) * highs;
    }
  }
  return sums;
}

fn finish(group: vec3u, t: u32, rows: vec4f, squares: f32) {
  let pairs = rowsOf(group.x);
  let token = group.y * TOKENS + t;
  let sums = rows * select(1.0, normScale(squares), NORMED);
  writePair(token, pairs[0], sums.xz);
  writePair(token, pairs[1], sums.yw);
}
