// Each lane owns TOKENS x ROWS outputs and walks k alone: no barriers, which software adapters pay dearly for.
override rows: u32;
override stride: u32;

struct Parameters { tokens: u32, outStride: u32, outOffset: u32 }

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weights: array<Packed8>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row0 = id.x * ROWS;
  let token0 = id.y * TOKENS;
  let eights = stride / 8;
  // Lanes past the end read the last row or token again and write nothing.
  var rowStart: array<u32, ROWS>;
  for (var r = 0u; r < ROWS; r++) { rowStart[r] = min(row0 + r, rows - 1) * eights; }
  var tokenStart: array<u32, TOKENS>;
  for (var t = 0u; t < TOKENS; t++) { tokenStart[t] = min(token0 + t, parameters.tokens - 1) * eights * 2; }
  var sums: array<array<f32, ROWS>, TOKENS>;
  for (var k = 0u; k < eights; k++) {
    var w: array<Eight, ROWS>;
    for (var r = 0u; r < ROWS; r++) { w[r] = unpack8(weights[rowStart[r] + k]); }
    for (var t = 0u; t < TOKENS; t++) {
      let low = x[tokenStart[t] + k * 2];
      let high = x[tokenStart[t] + k * 2 + 1];
      for (var r = 0u; r < ROWS; r++) {
        var sum = sums[t][r];
        for (var i = 0u; i < 4; i++) { sum = fma(low[i], w[r].low[i], sum); }
        for (var i = 0u; i < 4; i++) { sum = fma(high[i], w[r].high[i], sum); }
        sums[t][r] = sum;
      }
    }
  }
  for (var t = 0u; t < TOKENS; t++) {
    for (var r = 0u; r < ROWS; r++) {
      if (token0 + t < parameters.tokens && row0 + r < rows) {
        out[(token0 + t) * parameters.outStride + parameters.outOffset + row0 + r] = sums[t][r];
      }
    }
  }
}
