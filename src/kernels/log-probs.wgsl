override vocab: u32;
override lanes: u32;

override quads = (vocab + 3) / 4;
override rowQuads = (vocab + 7) / 8 * 2;

// Long f32 sums drift: each lane adds up short runs first, then the runs.
const RUN = 32u;
const LOWEST = -3.4e38f;
const QUIET_NAN = vec4u(0x7fc00000);

struct Parameters {
  count: u32,
  offset: u32,
  halfLanes: u32, // lanes / 2; see vocabulary.wgsl for why it is here
}

@group(0) @binding(0) var<storage, read> logits: array<vec4u>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4u>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

/// Sums over some of the logits x, with e = exp(x - highest).
struct Sums {
  highest: f32,
  exps: f32, // sum of e
  weighted: f32, // sum of e * (x - highest)
  plain: f32, // sum of x
  bad: u32, // not 0 where an x is NaN or +infinity, for which there are no probabilities
}

var<workgroup> laneSums: array<Sums, lanes>;

fn nothing() -> Sums { return Sums(LOWEST, 0, 0, 0, 0); }

/// x - highest, held in a range where exp is 0 and its product with the distance too.
fn distance(x: vec4f, highest: f32) -> vec4f { return max(x - highest, vec4f(-200)); }

fn merge(a: Sums, b: Sums) -> Sums {
  let highest = max(a.highest, b.highest);
  let off = distance(vec4f(a.highest, b.highest, 0, 0), highest).xy;
  let scale = exp(off);
  let weighted = vec2f(a.weighted, b.weighted) + vec2f(a.exps, b.exps) * off;
  return Sums(highest, dot(vec2f(a.exps, b.exps), scale), dot(weighted, scale), a.plain + b.plain, a.bad | b.bad);
}

fn sumsOfQuad(row: u32, quad: u32) -> Sums {
  let bits = logits[row * rowQuads + quad];
  let inside = vec4u(0, 1, 2, 3) + quad * 4 < vec4u(vocab);
  let bad = any(inside & ((bits & vec4u(0x7fffffff)) >= vec4u(0x7f800000)) & (bits != vec4u(0xff800000)));
  let x = select(vec4f(LOWEST), bitcast<vec4f>(bits), inside);
  let highest = max(max(max(x.x, x.y), max(x.z, x.w)), LOWEST);
  let off = distance(x, highest);
  let e = exp(off);
  return Sums(highest, dot(e, vec4f(1)), dot(e, off), dot(select(vec4f(0), x, inside), vec4f(1)), u32(bad));
}

@compute @workgroup_size(lanes)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  var sums = nothing();
  for (var start = lane; start < quads; start += RUN * lanes) {
    var run = nothing();
    for (var quad = start; quad < min(start + RUN * lanes, quads); quad += lanes) { run = merge(run, sumsOfQuad(row, quad)); }
    sums = merge(sums, run);
  }
  laneSums[lane] = sums;
  for (var half = parameters.halfLanes; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) { laneSums[lane] = merge(laneSums[lane], laneSums[lane + half]); }
  }
  if (lane != 0) { return; }

  let all = laneSums[0];
  let logExps = log(all.exps);
  let place = parameters.offset + row;
  let wanted = targets[place];
  var logProb = 0f;
  if (wanted < vocab) {
    logProb = bitcast<f32>(logits[row * rowQuads + wanted / 4][wanted % 4]) - all.highest - logExps;
  }
  let mean = all.plain / f32(vocab) - all.highest - logExps;
  let entropy = logExps - all.weighted / all.exps;
  let result = bitcast<vec4u>(vec4f(logProb, mean, entropy, all.highest + logExps));
  out[place] = select(result, QUIET_NAN, all.bad != 0);
}
