// Products of 16-bit activations with 8-bit weights, as two planes of bytes: a = 256 * high + low. Both planes are
// unsigned, as the instructions want one side: high has 128 added, which each panel takes off again.
//
// Panel: 32 times -128 * the sum of a row's weights (int32), then [depth / 4][32][4] weights. A row of activations:
// `depth` high bytes, then `depth` low bytes.
#pragma once
#include "codec/network/integer_vectors.h"

namespace {

using Weight = int8_t;
using Activation = uint8_t;

constexpr long kPerStep = 4, kPanelHeader = kUnits * sizeof(int32_t);
constexpr long panel_size(long depth) { return kPanelHeader + depth * kUnits; }
constexpr long row_size(long depth) { return 2 * depth; }

// One row of a matrix, which becomes a column of the panel.
inline void put_row(Weight *panel, long column, const int8_t *weights, long count) {
  int32_t sum = 0;
  for (long k = 0; k < count; k++) {
    sum += weights[k];
    panel[kPanelHeader + (k / kPerStep * kUnits + column) * kPerStep + k % kPerStep] = weights[k];
  }
  const int32_t start = -128 * sum;
  memcpy(panel + column * sizeof start, &start, sizeof start);
}

inline void clear_row(Activation *row, long depth) {
  memset(row, 0x80, depth);
  memset(row + depth, 0, depth);
}
CHARLOOM_INLINE Shorts load_activations(const Activation *row, long depth, long unit) {
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(row + unit));
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(row + depth + unit));
  return (Shorts)_mm512_or_si512(
      _mm512_slli_epi16(_mm512_cvtepu8_epi16(_mm256_xor_si256(high, _mm256_set1_epi8(-128))), 8),
      _mm512_cvtepu8_epi16(low));
}
CHARLOOM_INLINE void store_activations(Activation *row, long depth, long unit, Shorts v) {
  const __m256i high = _mm256_xor_si256(_mm512_cvtepi16_epi8((__m512i)(v >> 8)), _mm256_set1_epi8(-128));
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(row + unit), high);
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(row + depth + unit), _mm512_cvtepi16_epi8((__m512i)v));
}

// Sums of products with each plane.
struct Sum {
  Ints high, low;
};
CHARLOOM_INLINE void multiply_add(Sum &sum, const Activation *four, long depth, Ints weights) {
  const __m512i high = _mm512_set1_epi32(read<int32_t>(four)), low = _mm512_set1_epi32(read<int32_t>(four + depth));
  sum.high = (Ints)_mm512_dpbusd_epi32((__m512i)sum.high, high, (__m512i)weights);
  sum.low = (Ints)_mm512_dpbusd_epi32((__m512i)sum.low, low, (__m512i)weights);
}
CHARLOOM_INLINE void add(Sum &sum, Sum more) {
  sum.high += more.high;
  sum.low += more.low;
}
// The sum of both planes, for columns from `first` on. That of the high one, its start included, is less than 2^23.
CHARLOOM_INLINE Ints joined(Sum sum, const Weight *panel, long first) {
  return (sum.high + read<Ints>(panel + first * sizeof(int32_t))) * 256 + sum.low;
}

constexpr long kDepths = 4, kRowBlock = 16;

}  // namespace
