// The norm of rows, step by step as rms-norm.wgsl computes it: the same bits.
override WIDTH: u32;
override EPSILON: f32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>; // [tokens, stride]
@group(0) @binding(1) var<storage, read> weight: array<vec4f>; // [stride]

var<workgroup> partial: array<f32, LANES>;
var<private> normScale: f32;

fn prepare(token: u32, lane: u32) {
  let quads = parameters.stride / 4;
  var squares = vec4f(0);
  for (var k = lane; k < quads; k += LANES) {
    let v = x[token * quads + k];
    squares += v * v;
  }
  partial[lane] = dot(squares, vec4f(1));
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < LANES; i++) { sum += partial[i]; }
  normScale = 1 / sqrt(sum / f32(WIDTH) + EPSILON);
}

fn quad(token: u32, k: u32) -> vec4u { return bitcast<vec4u>(x[token * (parameters.stride / 4) + k] * normScale * weight[k]); }
