// For one token on GPUs, where memory is the limit: a workgroup owns 4 rows, its lanes share out k with one 16-byte load a row.
@group(0) @binding(0) var<storage, read> x: array<vec4f>;

var<workgroup> partial: array<vec4f, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let row0 = group.x * 4;
  let token = group.y;
  let eights = parameters.stride / 8;
  var sum = vec4f();
  for (var k = lane; k < eights; k += LANES) {
    let low = x[(token * eights + k) * 2];
    let high = x[(token * eights + k) * 2 + 1];
    for (var r = 0u; r < 4; r++) {
      let w = unpack8(weights[min(row0 + r, lastRow()) * eights + k]);
      sum[r] += dot(low, w.low) + dot(high, w.high);
    }
  }
  partial[lane] = sum;
  for (var half = LANES / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) { partial[lane] += partial[lane + half]; }
  }
  if (lane == 0) {
    for (var r = 0u; r < 4; r++) { write(token, row0 + r, partial[0][r]); }
  }
}
