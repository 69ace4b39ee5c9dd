// The transpose of a block of kLanes x kLanes numbers in registers, and loads of a part of a vector.
#pragma once
#include <utility>

#include "vector.h"

namespace {

// Loads the first `count` lanes, or all if there are more, and sets the others to zero; never reads beyond `count`
// numbers.
CHARLOOM_INLINE Vector load_partial(const float *from, long count) {
  if (count >= kLanes) return load(from);
#if defined(__AVX512F__)
  return (Vector)_mm512_maskz_loadu_ps((__mmask16)(count > 0 ? (1u << count) - 1 : 0), from);
#else
  Vector v{};
  if (count > 0) memcpy(&v, from, count * sizeof(float));
  return v;
#endif
}

// Indices of shuffles of two vectors a and b, for __builtin_shufflevector. They exist as single instructions on x86:
// interleaved_lane as unpcklps, unpckhps, unpcklpd and unpckhpd; quarter_lane as shuff32x4 and perm2f128.
//
// Interleaves groups of `size` lanes of a and b within every 128 bits, from the lower or the upper 64 bits.
constexpr int interleaved_lane(int lane, int size, bool upper) {
  const int within = lane % 4;
  return lane / 4 * 4 + (upper ? 2 : 0) + within / (2 * size) * size + within % size +
         (within / size % 2 ? (int)kLanes : 0);
}
// Takes the even or the odd quarters (128 bits) of a, then those of b.
constexpr int quarter_lane(int lane, bool odd) {
  const int half = (int)kLanes / 2, within = lane % half;
  return within / 4 * 8 + (odd ? 4 : 0) + within % 4 + (lane < half ? 0 : (int)kLanes);
}

template <int SIZE, int... LANES>
CHARLOOM_INLINE void interleave(Vector &a, Vector &b, std::integer_sequence<int, LANES...>) {
  const Vector lower = __builtin_shufflevector(a, b, interleaved_lane(LANES, SIZE, false)...);
  b = __builtin_shufflevector(a, b, interleaved_lane(LANES, SIZE, true)...);
  a = lower;
}
template <int... LANES>
CHARLOOM_INLINE void separate_quarters(Vector &a, Vector &b, std::integer_sequence<int, LANES...>) {
  const Vector even = __builtin_shufflevector(a, b, quarter_lane(LANES, false)...);
  b = __builtin_shufflevector(a, b, quarter_lane(LANES, true)...);
  a = even;
}

template <int STEP>
CHARLOOM_INLINE void separate_rows(Vector (&row)[kLanes]) {
  constexpr std::make_integer_sequence<int, kLanes> lanes;
#pragma GCC unroll 8
  for (int pair = 0; pair < kLanes / 2; pair++) {
    const int i = pair / STEP * 2 * STEP + pair % STEP;
    separate_quarters(row[i], row[i + STEP], lanes);
  }
}

// Transposes in place: lane j of row i becomes lane i of row j.
CHARLOOM_INLINE void transpose(Vector (&row)[kLanes]) {
  constexpr std::make_integer_sequence<int, kLanes> lanes;
  // 4 x 4 blocks within each 128 bits; afterwards row 4 g + i has the columns 4 q + i of the rows 4 g to 4 g + 3 in
  // quarter q.
#pragma GCC unroll 4
  for (int g = 0; g < kLanes; g += 4) {
    interleave<1>(row[g], row[g + 1], lanes);
    interleave<1>(row[g + 2], row[g + 3], lanes);
    interleave<2>(row[g], row[g + 2], lanes);
    interleave<2>(row[g + 1], row[g + 3], lanes);
    std::swap(row[g + 1], row[g + 2]);
  }
  // The quarters: row i collects those of the rows 4 g + i.
  if constexpr (kLanes > 4) separate_rows<4>(row);
  if constexpr (kLanes > 8) separate_rows<8>(row);
}

}  // namespace
