struct Parameters {
  rows: u32,
  step: u32,
  historyStride: u32,
  penalty: f32,
  halfLanes: u32,
  temperature: f32,
  topP: f32,
}

@group(0) @binding(5) var<storage, read> seeds: array<u32>;
@group(0) @binding(6) var<uniform> parameters: Parameters;

var<workgroup> laneSums: array<vec4f, lanes>;
var<workgroup> laneMass: array<f32, lanes>;

/// The same sum in every lane.
fn sumOfLanes(lane: u32, value: vec4f) -> vec4f {
  laneSums[lane] = value;
  for (var half = parameters.halfLanes; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) { laneSums[lane] += laneSums[lane + half]; }
  }
  return workgroupUniformLoad(&laneSums[0]);
}

/// exp((logit - top) / temperature), which is 1 for the most probable token. Infinite logits at the top share evenly.
fn weightsOf(keys: vec4u, top: u32) -> vec4f {
  let distance = (valuesOf(keys) - valuesOf(vec4u(top))) / parameters.temperature;
  let weights = select(exp(max(distance, vec4f(-200))), vec4f(0), keys <= vec4u(MINUS_INFINITY_KEY));
  return select(weights, vec4f(1), keys == vec4u(top));
}

fn massFrom(row: u32, lane: u32, top: u32, thresholds: vec4u) -> vec4f {
  var mass = vec4f(0);
  for (var quad = lane; quad < quads; quad += lanes) {
    let keys = penalisedKeys(row, quad, parameters.penalty);
    let weights = weightsOf(keys, top);
    for (var i = 0u; i < 4; i++) { mass += select(vec4f(0), vec4f(weights[i]), vec4u(keys[i]) >= thresholds); }
  }
  return sumOfLanes(lane, mass);
}

/// The highest key such that the tokens at or above it hold topP of the probability, found two bits at a time.
fn nucleusThreshold(row: u32, lane: u32, top: u32) -> u32 {
  if (parameters.topP >= 1) { return 0; }
  var goal = 0f;
  var threshold = 0u;
  for (var shift = 32u; shift > 0;) {
    shift -= 2;
    let mass = massFrom(row, lane, top, vec4u(threshold) + (vec4u(0, 1, 2, 3) << vec4u(shift)));
    if (shift == 30) { goal = mass.x * parameters.topP; } // mass.x is still that of all tokens
    threshold += dot(vec3u(1), select(vec3u(0), vec3u(1), mass.yzw >= vec3f(goal))) << shift;
  }
  return min(threshold, top);
}

/// The PCG hash (RXS-M-XS, https://www.pcg-random.org).
fn hash(value: u32) -> u32 {
  let state = value * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737u;
  return (word >> 22) ^ word;
}

/// A number in [0, 1) that depends on the row's own seed and the step alone.
fn uniformNumber(row: u32) -> f32 {
  return f32(hash(hash(seeds[row]) + parameters.step) >> 8) * 0x1p-24;
}

fn keptWeights(row: u32, quad: u32, top: u32, threshold: u32) -> vec4f {
  let keys = penalisedKeys(row, quad, parameters.penalty);
  return select(vec4f(0), weightsOf(keys, top), keys >= vec4u(threshold));
}

/// The first token in the order of ids at which the cumulative probability exceeds the row's number. For lane 0, once
/// laneMass holds the kept weight of each lane's `share` of neighbouring quads.
fn draw(row: u32, top: u32, threshold: u32, share: u32) -> u32 {
  var total = 0f;
  for (var i = 0u; i < lanes; i++) { total += laneMass[i]; }
  let goal = uniformNumber(row) * total;
  var reached = 0f;
  var before = 0f;
  var chosen = 0u;
  for (var i = 0u; i < lanes && reached <= goal; i++) {
    if (laneMass[i] > 0) {
      chosen = i;
      before = reached;
      reached += laneMass[i];
    }
  }
  // Rounding may leave the sum short of the goal: then the last token that has any weight is the one.
  var token = 0u;
  var sum = before;
  for (var quad = chosen * share; quad < min((chosen + 1) * share, quads); quad++) {
    let weights = keptWeights(row, quad, top, threshold);
    for (var i = 0u; i < 4; i++) {
      if (weights[i] > 0) {
        token = quad * 4 + i;
        sum += weights[i];
        if (sum > goal) { return token; }
      }
    }
  }
  return token;
}

@compute @workgroup_size(lanes)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  let top = bestOfRow(row, lane, parameters.penalty).key;
  let threshold = nucleusThreshold(row, lane, top);
  let share = (quads + lanes - 1) / lanes;
  var mass = 0f;
  for (var quad = lane * share; quad < min((lane + 1) * share, quads); quad++) {
    mass += dot(keptWeights(row, quad, top, threshold), vec4f(1));
  }
  laneMass[lane] = mass;
  workgroupBarrier();
  if (lane != 0) { return; }
  let place = row * parameters.historyStride + parameters.step;
  if (top == NAN_KEY) { recordNan(row, place); } else { record(row, place, draw(row, top, threshold, share)); }
}
