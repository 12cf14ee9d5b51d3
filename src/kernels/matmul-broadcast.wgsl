// For lavapipe. A workgroup is one subgroup of 8 lanes with 8 tokens x 16 rows: each lane owns two rows, and loads the inputs of
// one token, which subgroupBroadcast hands round. Loads are lavapipe's bottleneck (even one at the same address in all lanes takes
// a branch and a bounds check), a broadcast is two shuffles. 16 sums are what AVX2's registers bear.
@group(0) @binding(0) var<storage, read> x: array<vec4f>;

// The sums of a token: of the lane's first row, and of its second.
fn add4(sum: vec2f, x: vec4f, w0: vec4f, w1: vec4f) -> vec2f {
  var s = fma(x.xx, vec2f(w0.x, w1.x), sum);
  s = fma(x.yy, vec2f(w0.y, w1.y), s);
  s = fma(x.zz, vec2f(w0.z, w1.z), s);
  return fma(x.ww, vec2f(w0.w, w1.w), s);
}

fn addTokens(sums: ptr<function, array<vec2f, 8>>, x: vec4f, w0: vec4f, w1: vec4f) {
  sums[0] = add4(sums[0], subgroupBroadcast(x, 0u), w0, w1);
  sums[1] = add4(sums[1], subgroupBroadcast(x, 1u), w0, w1);
  sums[2] = add4(sums[2], subgroupBroadcast(x, 2u), w0, w1);
  sums[3] = add4(sums[3], subgroupBroadcast(x, 3u), w0, w1);
  sums[4] = add4(sums[4], subgroupBroadcast(x, 4u), w0, w1);
  sums[5] = add4(sums[5], subgroupBroadcast(x, 5u), w0, w1);
  sums[6] = add4(sums[6], subgroupBroadcast(x, 6u), w0, w1);
  sums[7] = add4(sums[7], subgroupBroadcast(x, 7u), w0, w1);
}

@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let rows = pairOf(group.x, 8, lane);
  let token0 = group.y * 8;
  let eights = parameters.stride / 8;
  let row0Start = min(rows.x, lastRow()) * eights;
  let row1Start = min(rows.y, lastRow()) * eights;
  let tokenStart = min(token0 + lane, lastToken()) * eights * 2;
  var sums: array<vec2f, 8>;
  for (var k = 0u; k < eights; k++) {
    let w0 = unpack8(weights[row0Start + k]);
    let w1 = unpack8(weights[row1Start + k]);
    addTokens(&sums, x[tokenStart + k * 2], w0.low, w1.low);
    addTokens(&sums, x[tokenStart + k * 2 + 1], w0.high, w1.high);
  }
  for (var t = 0u; t < 8; t++) { writePair(token0 + t, rows, sums[t]); }
}
