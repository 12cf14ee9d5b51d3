// Each lane owns TOKENS outputs of one row and walks k alone. For software adapters whose subgroups have fewer than 8 lanes.
@group(0) @binding(0) var<storage, read> x: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  let token0 = id.y * TOKENS;
  let eights = parameters.stride / 8;
  let rowStart = min(row, lastRow()) * eights;
  var tokenStart: array<u32, TOKENS>;
  for (var t = 0u; t < TOKENS; t++) { tokenStart[t] = min(token0 + t, lastToken()) * eights * 2; }
  var sums: array<f32, TOKENS>;
  for (var k = 0u; k < eights; k++) {
    let w = unpack8(weights[rowStart + k]);
    for (var t = 0u; t < TOKENS; t++) {
      let low = x[tokenStart[t] + k * 2];
      let high = x[tokenStart[t] + k * 2 + 1];
      var sum = sums[t];
      for (var i = 0u; i < 4; i++) { sum = fma(low[i], w.low[i], sum); }
      for (var i = 0u; i < 4; i++) { sum = fma(high[i], w.high[i], sum); }
      sums[t] = sum;
    }
  }
  for (var t = 0u; t < TOKENS; t++) { write(token0 + t, row, sums[t]); }
}
