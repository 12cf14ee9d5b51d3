// out[t] = sum over the vocabulary of p_b (log p_b - log p_a), with the log-sum-exps that log-probs.wgsl left: the Kullback-Leibler
// divergence of b from a. A workgroup takes a row.
override vocab: u32;
override lanes: u32;

override quads = (vocab + 3) / 4;
override rowQuads = (vocab + 7) / 8 * 2;

// Long f32 sums drift: each lane adds up short runs first, then the runs.
const RUN = 32u;

struct Parameters { offset: u32, lanes: u32 }

@group(0) @binding(0) var<storage, read> a: array<vec4f>;
@group(0) @binding(1) var<storage, read> b: array<vec4f>;
@group(0) @binding(2) var<storage, read> scoresA: array<vec4f>;
@group(0) @binding(3) var<storage, read> scoresB: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

var<workgroup> partial: array<f32, lanes>;

@compute @workgroup_size(lanes)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  let place = parameters.offset + row;
  let logSumA = scoresA[place].w;
  let logSumB = scoresB[place].w;
  var sum = 0.0;
  for (var start = lane; start < quads; start += RUN * lanes) {
    var run = 0.0;
    for (var quad = start; quad < min(start + RUN * lanes, quads); quad += lanes) {
      let inside = vec4u(0, 1, 2, 3) + quad * 4 < vec4u(vocab);
      let logA = a[row * rowQuads + quad] - logSumA;
      let logB = b[row * rowQuads + quad] - logSumB;
      // Where p_b is 0, so is the term, whatever p_a is there.
      let counted = inside & (logB > vec4f(-100));
      run += dot(select(vec4f(0), exp(logB) * (logB - logA), counted), vec4f(1));
    }
    sum += run;
  }
  partial[lane] = sum;
  workgroupBarrier();
  if (lane != 0) { return; }
  var total = 0.0;
  for (var i = 0u; i < parameters.lanes; i++) { total += partial[i]; }
  out[place] = total;
}
