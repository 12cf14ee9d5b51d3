// The k largest positive numbers of each row, in the order of their columns. A workgroup takes a row.
//
// Numbers are handled as u32 keys: the bits of a positive float are in its order, what is not positive has the key 0. The key of
// the k-th largest is found first, two bits at a time; then each lane writes its share of neighbouring columns, after all that
// the lanes before it write.
//
// parameters.lanes is LANES, from outside because a loop of constant length would be unrolled, barriers and all.
override LANES: u32;

struct Parameters {
  width: u32,
  quads: u32, // vec4s that hold them
  rowQuads: u32, // vec4s from one row to the next
  k: u32,
  lanes: u32,
}

@group(0) @binding(0) var<storage, read> x: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

var<workgroup> laneCounts: array<vec3u, LANES>;

fn keysOf(row: u32, quad: u32) -> vec4u {
  let bits = x[row * parameters.rowQuads + quad];
  let inside = vec4u(0, 1, 2, 3) + quad * 4 < vec4u(parameters.width);
  return select(vec4u(), bits, inside & (bits < vec4u(0x80000000)));
}

/// How many of the row's keys reach each of three thresholds; the same in every lane.
fn countFrom(row: u32, lane: u32, thresholds: vec3u) -> vec3u {
  var counts = vec3u();
  for (var quad = lane; quad < parameters.quads; quad += LANES) {
    let keys = keysOf(row, quad);
    for (var i = 0u; i < 4; i++) { counts += select(vec3u(), vec3u(1), vec3u(keys[i]) >= thresholds); }
  }
  laneCounts[lane] = counts;
  for (var half = parameters.lanes / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) { laneCounts[lane] += laneCounts[lane + half]; }
  }
  return workgroupUniformLoad(&laneCounts[0]);
}

/// The highest key that at least k keys reach, or the lowest positive one where fewer are positive.
fn thresholdOf(row: u32, lane: u32) -> u32 {
  var threshold = 0u;
  for (var shift = 32u; shift > 0;) {
    shift -= 2;
    let reached = countFrom(row, lane, vec3u(threshold) + (vec3u(1, 2, 3) << vec3u(shift)));
    threshold += dot(vec3u(1), select(vec3u(), vec3u(1), reached >= vec3u(parameters.k))) << shift;
  }
  return max(threshold, 1);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  let threshold = thresholdOf(row, lane);
  let share = (parameters.quads + LANES - 1) / LANES;
  let begin = lane * share;
  let end = min(begin + share, parameters.quads);

  var own = vec3u(); // keys above the threshold, keys at it
  for (var quad = begin; quad < end; quad++) {
    let keys = keysOf(row, quad);
    for (var i = 0u; i < 4; i++) { own += vec3u(u32(keys[i] > threshold), u32(keys[i] == threshold), 0); }
  }
  laneCounts[lane] = own;
  workgroupBarrier();
  var before = vec3u();
  var all = vec3u();
  for (var i = 0u; i < parameters.lanes; i++) {
    if (i == lane) { before = all; }
    all += laneCounts[i];
  }

  // Of those at the threshold, the first columns fill what is left of k.
  let room = parameters.k - all.x;
  let first = row * parameters.k;
  for (var quad = begin; quad < end; quad++) {
    let keys = keysOf(row, quad);
    for (var i = 0u; i < 4; i++) {
      let above = keys[i] > threshold;
      let at = keys[i] == threshold;
      if (above || (at && before.y < room)) {
        let place = first + before.x + min(before.y, room);
        indices[place] = quad * 4 + i;
        values[place] = bitcast<f32>(keys[i]);
      }
      before += vec3u(u32(above), u32(at), 0);
    }
  }
  for (var i = all.x + min(all.y, room) + lane; i < parameters.k; i += LANES) {
    indices[first + i] = 0;
    values[first + i] = 0;
  }
}
