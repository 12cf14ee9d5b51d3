// A row of activations as f16, scaled by the power of two that its own largest magnitude asks for, one workgroup a row. With two
// parts the second holds what the first rounded away, and both together 22 bits of the significand.
struct Parameters { tokens: u32, stride: u32 }

@group(0) @binding(0) var<storage, read> x: array<vec4u>; // the bits of f32
@group(0) @binding(1) var<storage, read_write> halves: array<vec4u>; // [PARTS, tokens, stride] of f16
@group(0) @binding(2) var<storage, read_write> undo: array<f32>; // what takes the scale back, [tokens]
@group(0) @binding(3) var<uniform> parameters: Parameters;

var<workgroup> largest: array<u32, LANES>;

fn largestOf(v: vec4u) -> u32 {
  return max(max(finiteMagnitude(v.x), finiteMagnitude(v.y)), max(finiteMagnitude(v.z), finiteMagnitude(v.w)));
}

fn pack(a: u32, b: u32) -> u32 { return half(a) | (half(b) << 16); }

fn halfEight(low: vec4u, high: vec4u) -> vec4u {
  return vec4u(pack(low.x, low.y), pack(low.z, low.w), pack(high.x, high.y), pack(high.z, high.w));
}

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
  let eights = parameters.stride / 8;
  var mine = 0u;
  for (var k = lane; k < eights * 2; k += LANES) { mine = max(mine, largestOf(x[token * eights * 2 + k])); }
  largest[lane] = mine;
  for (var width = LANES / 2; width > 0; width /= 2) {
    workgroupBarrier();
    if (lane < width) { largest[lane] = max(largest[lane], largest[lane + width]); }
  }
  workgroupBarrier();
  let exponent = scaleExponent(largest[0]);
  if (lane == 0) { undo[token] = powerOfTwo(-exponent); }
  let scale = powerOfTwo(exponent);
  for (var k = lane; k < eights; k += LANES) {
    let low = scaled(x[(token * eights + k) * 2], scale);
    let high = scaled(x[(token * eights + k) * 2 + 1], scale);
    halves[token * eights + k] = halfEight(low, high);
    if (PARTS == 2) { halves[(parameters.tokens + token) * eights + k] = halfEight(rest(low), rest(high)); }
  }
}
