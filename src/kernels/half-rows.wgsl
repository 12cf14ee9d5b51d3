// A row of activations as f16, scaled by the power of two that its own largest magnitude asks for, one workgroup a row. With two
// parts the second holds what the first rounded away, and both together 22 bits of the significand. half-rows-*.wgsl, put before
// it, say what the row is: after prepare(), quad() gives the bits of four f32.
struct Parameters { tokens: u32, stride: u32 }

@group(0) @binding(INPUTS) var<storage, read_write> halves: array<vec2u>; // [PARTS, tokens, stride] of f16
@group(0) @binding(INPUTS + 1) var<storage, read_write> undo: array<f32>; // what takes the scale back, [tokens]
@group(0) @binding(INPUTS + 2) var<uniform> parameters: Parameters;

var<workgroup> largest: atomic<u32>;

fn largestOf(v: vec4u) -> u32 {
  return max(max(finiteMagnitude(v.x), finiteMagnitude(v.y)), max(finiteMagnitude(v.z), finiteMagnitude(v.w)));
}

fn pack(a: u32, b: u32) -> u32 { return half(a) | (half(b) << 16); }

fn halfQuad(v: vec4u) -> vec2u { return vec2u(pack(v.x, v.y), pack(v.z, v.w)); }

// NaN and infinity stay out of it: infinity less infinity would be NaN.
fn restOf(bits: u32) -> u32 {
  if ((bits & 0x7f800000u) == 0x7f800000u) { return 0; }
  return bitcast<u32>(bitcast<f32>(bits) - bitcast<f32>(single(half(bits))));
}

fn rest(v: vec4u) -> vec4u { return vec4u(restOf(v.x), restOf(v.y), restOf(v.z), restOf(v.w)); }

// Unlike a multiplication it says what becomes of NaN and infinity.
fn scaled(v: vec4u, scale: f32) -> vec4u {
  let special = (v & vec4u(0x7f800000u)) == vec4u(0x7f800000u);
  return select(bitcast<vec4u>(bitcast<vec4f>(v) * scale), v, special);
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) group: vec3u) {
  let token = group.x;
  let quads = parameters.stride / 4;
  prepare(token, lane);
  var mine = 0u;
  for (var k = lane; k < quads; k += LANES) { mine = max(mine, largestOf(quad(token, k))); }
  atomicMax(&largest, mine);
  workgroupBarrier();
  let exponent = scaleExponent(atomicLoad(&largest));
  if (lane == 0) { undo[token] = powerOfTwo(-exponent); }
  let scale = powerOfTwo(exponent);
  for (var k = lane; k < quads; k += LANES) {
    let four = scaled(quad(token, k), scale);
    halves[token * quads + k] = halfQuad(four);
    if (PARTS == 2) { halves[(parameters.tokens + token) * quads + k] = halfQuad(rest(four)); }
  }
}
