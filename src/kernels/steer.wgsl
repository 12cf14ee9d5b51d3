// x[t] += coefficient * vector for each of the row's operations that is on at the token's position, one after the other. A lane
// takes four columns. Serves where all operations add.
override STRIDE: u32;

struct Operation { way: u32, coefficient: f32, first: u32, end: u32 }
struct Parameters { count: u32 }

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read> vectors: array<vec4f>;
@group(0) @binding(4) var<storage, read> operations: array<Operation>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= STRIDE / 4) { return; }
  let at = id.y * (STRIDE / 4) + id.x;
  let first = rows[id.y] * parameters.count;
  let position = positions[id.y];
  var sum = x[at];
  var changed = false;
  for (var v = 0u; v < parameters.count; v++) {
    let operation = operations[first + v];
    if (operation.way == 0 || position < operation.first || position >= operation.end) { continue; }
    sum += operation.coefficient * vectors[v * (STRIDE / 4) + id.x];
    changed = true;
  }
  if (changed) { x[at] = sum; }
}
