// x = edited(x, …) for the values of one internal. A lane takes one value. `edited` stands before this, made of the user's expression.
struct Place { row: u32, position: u32, outer: u32, inner: u32 }
struct Parameters {
  tokens: u32, width: u32, inner: u32, stride: u32, start: u32, firstRow: u32, unused0: u32, unused1: u32,
  a: Place,
  b: Place,
}

@group(0) @binding(0) var<storage, read_write> values: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<u32>;
@group(0) @binding(2) var<storage, read> positions: array<u32>;
@group(0) @binding(3) var<storage, read> tensorA: array<f32>;
@group(0) @binding(4) var<storage, read> tensorB: array<f32>;
@group(0) @binding(5) var<uniform> parameters: Parameters;

// Strides of 0 repeat a tensor along an axis.
fn placeIn(p: Place, row: u32, position: u32, index: u32) -> u32 {
  return row * p.row + position * p.position + index / parameters.inner * p.outer + index % parameters.inner * p.inner;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = group.x * 64 + lane;
  let token = group.y;
  if (index >= parameters.width || token >= parameters.tokens) { return; }
  let row = rows[token] + parameters.firstRow;
  let position = positions[token];
  let at = token * parameters.stride + parameters.start + index;
  let a = tensorA[min(placeIn(parameters.a, row, position, index), arrayLength(&tensorA) - 1)];
  let b = tensorB[min(placeIn(parameters.b, row, position, index), arrayLength(&tensorB) - 1)];
  values[at] = edited(values[at], row, position, index / parameters.inner, index % parameters.inner, a, b);
}
