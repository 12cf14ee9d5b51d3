// For GPUs with matrix units (subgroup matrices). A workgroup owns a tile of TILE_TOKENS x TILE_ROWS outputs and stages DEPTH
// columns of its inputs as f16 in workgroup memory, rows padded by 16 bytes against bank conflicts; a subgroup owns
// SUBGROUP_TOKENS x SUBGROUP_ROWS outputs in f32. Every output adds its blocks of MATRIX_K columns from the first to the last, the
// parts of an activation one after the other, so that a token's outputs have the same bits in tiles of any size.
alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;
alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
alias Result = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

struct Parameters {
  tokens: u32,
  outStride: u32,
  outOffset: u32,
  rows: u32,
  stride: u32, // elements from one row of x or of the weights to the next: a multiple of 8
  columns: u32, // of a split: workgroups of grid z add up this many each, a multiple of DEPTH
  scale: f32, // takes the weights' scale back
  adds: u32, // 1: outputs are added to what stands there
}

@group(0) @binding(0) var<storage, read> halves: array<vec4u>; // f16 [PARTS, tokens, stride]
@group(0) @binding(1) var<storage, read> undo: array<f32>; // [tokens]
@group(0) @binding(2) var<storage, read> weights: array<vec4u>; // f16 [rows, stride]
@group(0) @binding(3) var<storage, read_write> out: array<f32>; // of each split, one after the other
@group(0) @binding(4) var<uniform> parameters: Parameters;

const WORDS = DEPTH / 8; // of 16 bytes, as much as a lane moves at a time
const STRIDE = WORDS + 1;
const DOWN = SUBGROUP_TOKENS / MATRIX_M;
const ACROSS = SUBGROUP_ROWS / MATRIX_N;
const SUBGROUPS_ACROSS = TILE_ROWS / SUBGROUP_ROWS;
const SUBGROUPS = TILE_TOKENS / SUBGROUP_TOKENS * SUBGROUPS_ACROSS;
const CELLS = MATRIX_M * MATRIX_N;

var<workgroup> xs: array<vec4u, PARTS * TILE_TOKENS * STRIDE>;
var<workgroup> ws: array<vec4u, TILE_ROWS * STRIDE>;
var<workgroup> results: array<f32, SUBGROUPS * CELLS>;

// Columns from the split's end on are zeros; tokens and rows past the last are the last again, and never written.
fn stage(lane: u32, token0: u32, row0: u32, k0: u32, end: u32) {
  let eights = parameters.stride / 8;
  for (var i = lane; i < PARTS * TILE_TOKENS * WORDS; i += LANES) {
    let line = i / WORDS;
    let word = i % WORDS;
    let token = min(token0 + line % TILE_TOKENS, parameters.tokens - 1);
    var eight = vec4u();
    if (k0 + word * 8 < end) { eight = halves[(line / TILE_TOKENS * parameters.tokens + token) * eights + k0 / 8 + word]; }
    xs[line * STRIDE + word] = eight;
  }
  for (var i = lane; i < TILE_ROWS * WORDS; i += LANES) {
    let line = i / WORDS;
    let word = i % WORDS;
    let row = min(row0 + line, parameters.rows - 1);
    var eight = vec4u();
    if (k0 + word * 8 < end) { eight = weights[row * eights + k0 / 8 + word]; }
    ws[line * STRIDE + word] = eight;
  }
}

fn write(split: u32, token: u32, row: u32, sum: f32) {
  if (token < parameters.tokens && row < parameters.rows) {
    let at = (split * parameters.tokens + token) * parameters.outStride + parameters.outOffset + row;
    var value = sum * undo[token] * parameters.scale;
    if (parameters.adds != 0) { value += out[at]; }
    out[at] = value;
  }
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(workgroup_id) group: vec3u,
) {
  let row0 = group.x * TILE_ROWS;
  let token0 = group.y * TILE_TOKENS;
  let first = group.z * parameters.columns;
  let end = min(first + parameters.columns, parameters.stride);
  let left0 = subgroup / SUBGROUPS_ACROSS * SUBGROUP_TOKENS;
  let right0 = subgroup % SUBGROUPS_ACROSS * SUBGROUP_ROWS;
  var sums: array<array<Result, ACROSS>, DOWN>;
  for (var k0 = first; k0 < end; k0 += DEPTH) {
    stage(lane, token0, row0, k0, end);
    workgroupBarrier();
    // Where the adapter's subgroups are smaller than its largest there are more of them than are needed.
    if (subgroup < SUBGROUPS) {
      for (var k = 0u; k < DEPTH; k += MATRIX_K) {
        var lefts: array<Left, PARTS * DOWN>;
        for (var part = 0u; part < PARTS; part++) {
          for (var i = 0u; i < DOWN; i++) {
            let at = (part * TILE_TOKENS + left0 + i * MATRIX_M) * STRIDE + k / 8;
            lefts[part * DOWN + i] = subgroupMatrixLoad<Left, row_major>(&xs, at, STRIDE);
          }
        }
        for (var j = 0u; j < ACROSS; j++) {
          let right = subgroupMatrixLoad<Right, col_major>(&ws, (right0 + j * MATRIX_N) * STRIDE + k / 8, STRIDE);
          for (var part = 0u; part < PARTS; part++) {
            for (var i = 0u; i < DOWN; i++) {
              sums[i][j] = subgroupMatrixMultiplyAccumulate(lefts[part * DOWN + i], right, sums[i][j]);
            }
          }
        }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < DOWN; i++) {
    for (var j = 0u; j < ACROSS; j++) {
      if (subgroup < SUBGROUPS) { subgroupMatrixStore<row_major>(&results, subgroup * CELLS, sums[i][j], MATRIX_N); }
      workgroupBarrier();
      for (var cell = lane; cell < SUBGROUPS * CELLS; cell += LANES) {
        let owner = cell / CELLS;
        let token = token0 + owner / SUBGROUPS_ACROSS * SUBGROUP_TOKENS + i * MATRIX_M + cell % CELLS / MATRIX_N;
        let row = row0 + owner % SUBGROUPS_ACROSS * SUBGROUP_ROWS + j * MATRIX_N + cell % MATRIX_N;
        write(group.z, token, row, results[cell]);
      }
      workgroupBarrier();
    }
  }
}
