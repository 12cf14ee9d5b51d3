// What every matrix product shares. Put before one of the variants; matmul.ts declares what the product's ends bind.
struct Parameters {
  tokens: u32,
  outStride: u32,
  outOffset: u32,
  rows: u32,
  stride: u32, // elements from one row of x or of the weights to the next: a multiple of 8
  scale: f32, // of the outputs
  adds: u32, // 1: they are added to what stands there
  apart: u32, // GATED: rows from a gate to its up
  width: f32, // NORMED: of a token, whose padding is zeros
  epsilon: f32,
  operations: u32, // STEERED: of a row
}

@group(0) @binding(1) var<storage, read> weights: array<Packed8>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

// Reads past the end of the tokens and rows are moved to the last one; only writes are guarded.
fn lastToken() -> u32 { return parameters.tokens - 1; }
fn lastRow() -> u32 { return parameters.rows - 1; }

// What a root-mean-square norm multiplies a token by, from the sum of its squares.
fn normScale(squares: f32) -> f32 { return 1 / sqrt(squares / parameters.width + parameters.epsilon); }

fn write(token: u32, row: u32, sum: f32) {
  if (token < parameters.tokens && row < parameters.rows) {
    let column = parameters.outOffset + row;
    let at = token * parameters.outStride + column;
    var value = sum * parameters.scale;
    if (parameters.adds != 0) { value += out[at]; }
    out[at] = steered(value, token, column);
  }
}

// Two rows that a lane owns: the gate and the up of an output (silu-gate.wgsl), or two outputs.
fn writePair(token: u32, rows: vec2u, sums: vec2f) {
  if (!GATED) {
    write(token, rows.x, sums.x);
    write(token, rows.y, sums.y);
  } else if (token < parameters.tokens && rows.x < parameters.apart) {
    let pair = sums * parameters.scale;
    out[token * parameters.outStride + rows.x] = pair.x / (1 + exp(min(-pair.x, 87))) * pair.y;
  }
}

// The i-th pair of the group-th workgroup, which has `pairs` of them: neighbours lie apart by as many.
fn pairOf(group: u32, pairs: u32, i: u32) -> vec2u {
  if (GATED) { return vec2u(0, parameters.apart) + group * pairs + i; }
  return vec2u(0, pairs) + group * pairs * 2 + i;
}
