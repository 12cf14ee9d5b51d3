// What every matrix product binds. Put before one of the variants.
struct Parameters {
  tokens: u32,
  outStride: u32,
  outOffset: u32,
  rows: u32,
  stride: u32, // elements from one row of x or of the weights to the next: a multiple of 8
  scale: f32, // of the outputs
  adds: u32, // 1: they are added to what stands there
}

@group(0) @binding(1) var<storage, read> weights: array<Packed8>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> parameters: Parameters;

// Reads past the end of the tokens and rows are moved to the last one; only writes are guarded.
fn lastToken() -> u32 { return parameters.tokens - 1; }
fn lastRow() -> u32 { return parameters.rows - 1; }

fn write(token: u32, row: u32, sum: f32) {
  if (token < parameters.tokens && row < parameters.rows) {
    let at = token * parameters.outStride + parameters.outOffset + row;
    var value = sum * parameters.scale;
    if (parameters.adds != 0) { value += out[at]; }
    out[at] = value;
  }
}
