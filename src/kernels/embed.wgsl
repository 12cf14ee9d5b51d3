// out[t] = table[ids[t]] as f32, for the tokens whose row lies in this chunk of the table. A lane takes four columns.
override STRIDE: u32;

struct Parameters { firstRow: u32, chunkRows: u32 }

@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> weights: array<Packed4>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let column = id.x;
  let token = id.y;
  let row = ids[token];
  if (column >= STRIDE / 4 || row < parameters.firstRow || row - parameters.firstRow >= parameters.chunkRows) { return; }
  out[token * (STRIDE / 4) + column] = unpack4(weights[(row - parameters.firstRow) * (STRIDE / 4) + column]);
}
