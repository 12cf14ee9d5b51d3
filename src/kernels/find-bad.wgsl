// NaN and infinity are what has all bits of the exponent set; a word holds one or two weights.
override exponentLow: u32;
override exponentHigh: u32;

const LANES = 256u;

struct Parameters { words: u32 }

@group(0) @binding(0) var<storage, read> weights: array<u32>;
@group(0) @binding(1) var<storage, read_write> found: atomic<u32>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  var bad = false;
  for (var i = id.x; i < parameters.words; i += groups.x * LANES) {
    let word = weights[i];
    bad |= (word & exponentLow) == exponentLow || (word & exponentHigh) == exponentHigh;
  }
  if (bad) { atomicStore(&found, 1); }
}
