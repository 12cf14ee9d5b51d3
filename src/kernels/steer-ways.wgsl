// Every way of steering, one operation after the other. A workgroup takes a token. With unit vector u = v / |v| and p = x · u all
// ways are x' = keep * x + put * v, so three sums over the row are all that an operation needs:
//   add      keep = 1, put = c
//   ablate   keep = 1, put = -c p / |v|            takes the share c of the projection away
//   clamp    keep = 1, put = (c - p) / |v|         the projection becomes c
//   rotate   turns x by the angle c towards u in their common plane, not beyond u or -u; its length stays
// and, where the length before shall be kept, both are scaled by |x| / |x'|.
override STRIDE: u32;
override LANES: u32;

const ADD = 1u;
const ABLATE = 2u;
const CLAMP = 3u;
const ROTATE = 4u;
const KEEP_LENGTH = 16u;
const PI = 3.14159265358979;

struct Operation { way: u32, coefficient: f32, first: u32, end: u32 }
struct Parameters { count: u32, lanes: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read> vectors: array<vec4f>;
@group(0) @binding(4) var<storage, read> operations: array<Operation>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

var<workgroup> partial: array<vec3f, LANES>;

// (x · v, x · x, v · v) of the row at `row` and the vector at `vector`, the same in every lane.
fn products(row: u32, vector: u32, lane: u32) -> vec3f {
  var xv = vec4f(0);
  var xx = vec4f(0);
  var vv = vec4f(0);
  for (var i = lane; i < STRIDE / 4; i += LANES) {
    let a = x[row + i];
    let b = vectors[vector + i];
    xv += a * b;
    xx += a * a;
    vv += b * b;
  }
  workgroupBarrier();
  partial[lane] = vec3f(dot(xv, vec4f(1)), dot(xx, vec4f(1)), dot(vv, vec4f(1)));
  workgroupBarrier();
  var sum = vec3f(0);
  for (var i = 0u; i < parameters.lanes; i++) { sum += partial[i]; }
  return sum;
}

// (keep, put) of a way.
fn mixture(way: u32, c: f32, xv: f32, xx: f32, vv: f32) -> vec2f {
  let length = sqrt(vv);
  if (way == ADD || length == 0) { return vec2f(1, select(0.0, c, way == ADD)); }
  let p = xv / length;
  if (way == ABLATE) { return vec2f(1, -c * p / length); }
  if (way == CLAMP) { return vec2f(1, (c - p) / length); }
  let across = sqrt(max(xx - p * p, 0));
  // Parallel to the vector, x spans no plane with it.
  if (across <= 1e-6 * sqrt(xx)) { return vec2f(1, 0); }
  let angle = clamp(atan2(across, p) - c, 0, PI);
  let keep = sqrt(xx) * sin(angle) / across;
  return vec2f(keep, (sqrt(xx) * cos(angle) - keep * p) / length);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let token = group.x;
  let row = token * (STRIDE / 4);
  let first = rows[token] * parameters.count;
  let position = positions[token];
  for (var v = 0u; v < parameters.count; v++) {
    let operation = operations[first + v];
    if (operation.way == 0 || position < operation.first || position >= operation.end) { continue; }
    let sums = products(row, v * (STRIDE / 4), lane);
    var m = mixture(operation.way % KEEP_LENGTH, operation.coefficient, sums.x, sums.y, sums.z);
    if (operation.way >= KEEP_LENGTH) {
      let after = m.x * m.x * sums.y + 2 * m.x * m.y * sums.x + m.y * m.y * sums.z;
      m *= select(1.0, sqrt(sums.y / after), after > 0);
    }
    for (var i = lane; i < STRIDE / 4; i += LANES) { x[row + i] = m.x * x[row + i] + m.y * vectors[v * (STRIDE / 4) + i]; }
  }
}
