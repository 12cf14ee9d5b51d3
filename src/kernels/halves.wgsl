// f32 to f16 in whole-number arithmetic: the same bits on every adapter, subnormals too, which pack2x16float may flush. Needs no
// shader-f16. Put before the kernels that convert.

// The bits of the f16 nearest to an f32 given by its bits, ties to even; NaN and infinity stay what they are.
fn half(bits: u32) -> u32 {
  let sign = (bits >> 16) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; } // 65520 and above
  if (magnitude >= 0x38800000u) { // 2^-14, the smallest normal f16
    let rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return sign | ((rounded - 0x38000000u) >> 13);
  }
  let exponent = magnitude >> 23;
  if (exponent < 102u) { return sign; } // below half of the smallest subnormal
  let significand = (magnitude & 0x7fffffu) | 0x800000u;
  let shift = 126u - exponent;
  let rounded = significand + (1u << (shift - 1u)) - 1u + ((significand >> shift) & 1u);
  return sign | (rounded >> shift);
}

// The bits of the f32 that equals an f16 given by its bits.
fn single(half: u32) -> u32 {
  let sign = (half & 0x8000u) << 16;
  let magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) { return sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13); }
  if (magnitude >= 0x400u) { return sign | ((magnitude << 13) + 0x38000000u); }
  return sign | bitcast<u32>(f32(magnitude) * 0x1p-24f);
}

// The exponent of the power of two that brings the largest magnitude, given by its bits, into [2^14, 2^15): far from f16's
// infinity, and 28 binades above its subnormals.
fn scaleExponent(largest: u32) -> i32 {
  if (largest == 0) { return 0; }
  return min(141 - i32(largest >> 23), 100);
}

fn powerOfTwo(exponent: i32) -> f32 { return bitcast<f32>(u32(exponent + 127) << 23); }

// What counts for the largest magnitude: all but NaN and infinity, which show in the result anyway.
fn finiteMagnitude(bits: u32) -> u32 { return select(0u, bits & 0x7fffffffu, (bits & 0x7f800000u) != 0x7f800000u); }
