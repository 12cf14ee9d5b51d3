// out = the weights as f16, times the power of two that facts[0] asks for. facts[1] counts those that f16's lower end took
// something from (to zero or a subnormal), facts[2] the others that were rounded.
struct Parameters { words: u32 }

@group(0) @binding(0) var<storage, read> weights: array<u32>;
@group(0) @binding(1) var<storage, read_write> facts: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

struct Counts { underflowed: u32, rounded: u32 }

fn convert(bits: u32, exponent: i32, counts: ptr<function, Counts>) -> u32 {
  let magnitude = bits & 0x7fffffffu;
  if (magnitude == 0 || magnitude >= 0x7f800000u) { return half(bits); }
  let scaled = bitcast<u32>(bitcast<f32>(bits) * powerOfTwo(exponent));
  let result = half(scaled);
  // A weight so small that the product, or the weight itself, is an f32 subnormal may be flushed: compare what is left of it.
  let kept = single(result) == scaled && (scaled & 0x7fffffffu) >= 0x00800000u;
  if (!kept && (scaled & 0x7fffffffu) < 0x38800000u) { (*counts).underflowed++; }
  else if (!kept) { (*counts).rounded++; }
  return result;
}

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let exponent = scaleExponent(atomicLoad(&facts[0]));
  var counts: Counts;
  for (var i = id.x; i < parameters.words; i += groups.x * LANES) {
    let pair = weightPair(i);
    let low = convert(pair.x, exponent, &counts);
    out[i] = low | (convert(pair.y, exponent, &counts) << 16);
  }
  if (counts.underflowed > 0) { atomicAdd(&facts[1], counts.underflowed); }
  if (counts.rounded > 0) { atomicAdd(&facts[2], counts.rounded); }
}
