// out[t] = x[t] / sqrt(mean(x[t]^2) + epsilon) * weight. A workgroup takes a token.
override WIDTH: u32;
override STRIDE: u32;
override EPSILON: f32;
override LANES: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x * (STRIDE / 4);
  var squares = vec4f(0);
  for (var i = lane; i < STRIDE / 4; i += LANES) {
    let v = x[row + i];
    squares += v * v;
  }
  partial[lane] = dot(squares, vec4f(1));
  workgroupBarrier();
  // Every lane adds all partial sums itself: one barrier instead of a tree of them, and always the same order.
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) { sum += partial[i]; }
  let scale = 1 / sqrt(sum / f32(WIDTH) + EPSILON);
  for (var i = lane; i < STRIDE / 4; i += LANES) { out[row + i] = x[row + i] * scale * weight[i]; }
}
