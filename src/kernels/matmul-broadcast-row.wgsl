// For one token on lavapipe: as matmul-broadcast.wgsl, but the 8 lanes load 8 neighbouring inputs of the one token.
@group(0) @binding(0) var<storage, read> x: array<f32>;

@compute @workgroup_size(8)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let rows = pairOf(group.x, 8, lane);
  let token = group.y;
  let eights = parameters.stride / 8;
  let row0Start = min(rows.x, lastRow()) * eights;
  let row1Start = min(rows.y, lastRow()) * eights;
  var sum = vec2f();
  for (var k = 0u; k < eights; k++) {
    let w0 = unpack8(weights[row0Start + k]);
    let w1 = unpack8(weights[row1Start + k]);
    let mine = x[token * parameters.stride + k * 8 + lane];
    sum = fma(vec2f(subgroupBroadcast(mine, 0u)), vec2f(w0.low.x, w1.low.x), sum);
    sum = fma(vec2f(subgroupBroadcast(mine, 1u)), vec2f(w0.low.y, w1.low.y), sum);
    sum = fma(vec2f(subgroupBroadcast(mine, 2u)), vec2f(w0.low.z, w1.low.z), sum);
    sum = fma(vec2f(subgroupBroadcast(mine, 3u)), vec2f(w0.low.w, w1.low.w), sum);
    sum = fma(vec2f(subgroupBroadcast(mine, 4u)), vec2f(w0.high.x, w1.high.x), sum);
    sum = fma(vec2f(subgroupBroadcast(mine, 5u)), vec2f(w0.high.y, w1.high.y), sum);
    sum = fma(vec2f(subgroupBroadcast(mine, 6u)), vec2f(w0.high.z, w1.high.z), sum);
    sum = fma(vec2f(subgroupBroadcast(mine, 7u)), vec2f(w0.high.w, w1.high.w), sum);
  }
  writePair(token, rows, sum);
}
