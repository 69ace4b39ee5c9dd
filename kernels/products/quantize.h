// Rounding of a row of numbers to 8 bits with one scale: the row's largest magnitude becomes 127. A row with a NaN or
// an infinity has a scale that is not finite, so that products with it stay visible.
#pragma once
#include "products/transpose.h"

namespace {

// Returns the largest magnitude of `count` numbers; NaN or infinity if one of them is not finite.
CHARLOOM_INLINE float largest_magnitude(const float *row, long count) {
  Vector largest{}, not_finite{};
  for (long k = 0; k < count; k += kLanes) {
    const Vector v = load_partial(row + k, count - k), size = v < 0.f ? -v : v;
    largest = largest < size ? size : largest;
    not_finite += v - v;  // zero for finite numbers; comparisons would skip a NaN
  }
  return reduce_max(largest) + reduce_add(not_finite);
}

// Returns the factor that rounding multiplies with. 0, for a row of zeros, if numbers are not finite, which have no
// integer, or if they are so small that the factor would be infinite.
CHARLOOM_INLINE float quantization_steps(float largest) {
  return largest > 1e-36f && largest <= 3.40282347e38f ? 127.f / largest : 0.f;
}

// Rounds `count` numbers to `to`, followed by zeros up to `size`, a multiple of kLanes; returns their scale.
CHARLOOM_INLINE float quantize_row(const float *from, long count, long size, int8_t *to) {
  const float largest = largest_magnitude(from, count), steps = quantization_steps(largest);
  for (long k = 0; k < size; k += kLanes) {
    const Ints rounded = steps > 0.f ? round_to_int(load_partial(from + k, count - k) * steps) : Ints{};
    const Bytes bytes = __builtin_convertvector(rounded, Bytes);
    memcpy(to + k, &bytes, sizeof bytes);
  }
  return largest / 127.f;
}

}  // namespace
