import type { MatrixUnit } from "../../src/kernels/matmul-matrix.ts"

// What stands for the subgroup matrices: an operand is where it lies in workgroup memory, a result is an array. One lane is a
// subgroup.
const FUNCTIONS = `
struct Left { at: u32 }
struct Right { at: u32 }
alias Result = array<vec4f, MATRIX_M * MATRIX_N / 4>;

// Zero, which the compiler does not know: it would unroll every loop, and take half a minute for it.
fn none() -> u32 { return parameters.tokens >> 31; }

fn halfOf(word: vec4u, k: u32) -> f32 { return unpack2x16float(word[k / 2])[k % 2]; }

fn weight(right: Right, n: u32, k: u32) -> f32 { return halfOf(ws[right.at + n * STRIDE + k / 8], k % 8); }

fn multiplyAccumulate(left: Left, right: Right, sums: ptr<function, Result>) {
  for (var k = 0u; k < MATRIX_K + none(); k++) {
    for (var n = 0u; n < MATRIX_N + none(); n += 4) {
      let four = vec4f(weight(right, n, k), weight(right, n + 1, k), weight(right, n + 2, k), weight(right, n + 3, k));
      for (var m = 0u; m < MATRIX_M + none(); m++) {
        (*sums)[(m * MATRIX_N + n) / 4] += halfOf(xs[left.at + m * STRIDE + k / 8], k % 8) * four;
      }
    }
  }
}

fn store(at: u32, sums: ptr<function, Result>) {
  for (var i = 0u; i < MATRIX_M * MATRIX_N + none(); i++) { results[at + i] = (*sums)[i / 4][i % 4]; }
}
`

const REWRITES: readonly (readonly [RegExp, string])[] = [
  [/^enable .*;$/gm, ""],
  [/^alias (Left|Right) = .*;\n/gm, ""],
  [/^alias Result = .*;$/m, FUNCTIONS],
  [/subgroupMatrixLoad<(Left, row|Right, col)_major>\(&(?:xs|ws), (.*), STRIDE\);/g, "MATRIX_OF_$1($2);"],
  [/MATRIX_OF_(Left|Right), \w+/g, "$1"],
  [/(sums\S*) = subgroupMatrixMultiplyAccumulate\((.*), \1\);/g, "multiplyAccumulate($2, &$1);"],
  [/subgroupMatrixStore<row_major>\(&results, (.*), (sums\S*), MATRIX_N\);/g, "store($1, &$2);"],
  [/ *@builtin\(subgroup_id\) subgroup: u32,\n/, ""],
  [/< (DOWN|ACROSS|PARTS|DEPTH);/g, "< $1 + none();"],
  [/(fn main\([^{]*\{)/, "$1\n  let subgroup = lane;"],
]

/** A matrix unit of this size in plain WGSL: the kernel's own text with the matrices' builtins replaced. */
export function emulatedUnit(m = 16, n = 16, k = 16): MatrixUnit {
  return { m, n, k, lanes: 1, emulate }
}

function emulate(code: string): string {
  let text = code
  for (const [pattern, replacement] of REWRITES) {
    const before = text
    text = text.replace(pattern, replacement)
    if (text === before) throw new Error(`the kernel has no ${pattern}: put the emulation right`)
  }
  const left = /subgroup\w*Matrix\w*|subgroup_\w+/.exec(text)
  if (left) throw new Error(`${left[0]} is not emulated`)
  return text
}
