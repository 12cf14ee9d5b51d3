// facts[0] = the bits of the largest finite magnitude among the weights.
struct Parameters { words: u32 }

@group(0) @binding(0) var<storage, read> weights: array<u32>;
@group(0) @binding(1) var<storage, read_write> facts: array<atomic<u32>>;
@group(0) @binding(2) var<uniform> parameters: Parameters;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  var largest = 0u;
  for (var i = id.x; i < parameters.words; i += groups.x * LANES) {
    let pair = weightPair(i);
    largest = max(largest, max(finiteMagnitude(pair.x), finiteMagnitude(pair.y)));
  }
  atomicMax(&facts[0], largest);
}
