// The softmax probabilities of a (token, head): a workgroup takes one, a lane every 64th key. For inspection only.
override HEADS: u32;
override KV_HEADS: u32;
override STRIDE: u32;
override SCALE: f32;

const LANES = 64u;
const LOWEST = -3.4e38;

// headDim bounds a loop: were it an `override`, a CPU driver would unroll it and compile for seconds.
struct Parameters { capacity: u32, keys: u32, headDim: u32 }

@group(0) @binding(0) var<storage, read> qkv: array<f32>;
@group(0) @binding(1) var<storage, read> keys: array<f32>;
@group(0) @binding(2) var<storage, read> rows: array<u32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

var<workgroup> partial: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let headDim = parameters.headDim;
  let head = group.x;
  let token = group.y;
  let query = token * STRIDE + head * headDim;
  let firstKey = (rows[token] * parameters.capacity * KV_HEADS + head / (HEADS / KV_HEADS)) * headDim;
  let seen = min(positions[token] + 1, parameters.keys);
  let first = (token * HEADS + head) * parameters.keys;

  // A lane reads back only what it wrote itself: no barrier on storage is needed.
  var highest = LOWEST;
  for (var k = lane; k < seen; k += LANES) {
    let key = firstKey + k * KV_HEADS * headDim;
    var score = 0.0;
    for (var d = 0u; d < headDim; d++) { score += qkv[query + d] * keys[key + d]; }
    out[first + k] = score * SCALE;
    highest = max(highest, score * SCALE);
  }
  partial[lane] = highest;
  workgroupBarrier();
  for (var i = 0u; i < LANES; i++) { highest = max(highest, partial[i]); }
  workgroupBarrier();

  var sum = 0.0;
  for (var k = lane; k < seen; k += LANES) {
    let e = exp(out[first + k] - highest);
    out[first + k] = e;
    sum += e;
  }
  partial[lane] = sum;
  workgroupBarrier();
  sum = 0;
  for (var i = 0u; i < LANES; i++) { sum += partial[i]; }
  for (var k = lane; k < parameters.keys; k += LANES) { out[first + k] = select(0.0, out[first + k] / sum, k < seen); }
}
