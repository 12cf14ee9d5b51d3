// The outputs are steered as steer.wgsl does it.
struct Operation { way: u32, coefficient: f32, first: u32, end: u32 }

fn steered(value: f32, token: u32, column: u32) -> f32 {
  let first = batchRows[token] * parameters.operations;
  let position = positions[token];
  var sum = value;
  for (var v = 0u; v < parameters.operations; v++) {
    let operation = operations[first + v];
    if (operation.way == 0 || position < operation.first || position >= operation.end) { continue; }
    sum += operation.coefficient * vectors[v * parameters.outStride + column];
  }
  return sum;
}
