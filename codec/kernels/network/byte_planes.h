// Operands of the integer products for AVX-512 VNNI and AMX: 16-bit activations as two planes of bytes, a = 256 * high
// + low. word_pairs.h has the operands for other instruction sets; integer_products.h includes one of the two. The
// instructions multiply unsigned by signed, so both planes are unsigned: 128 is added to the high plane, and each panel
// contains start values that subtract the products of this offset.
//
// Layout of a panel: 32 start values, -128 times the sum of a row's weights (int32), then weights [depth / 4][32][4].
// Layout of a row of activations: `depth` high bytes, then `depth` low bytes.
#pragma once
#include "network/integer_vectors.h"

namespace {

using Weight = int8_t;
using Activation = uint8_t;

constexpr long kVnniFactor = 4, kPanelHeader = kUnits * sizeof(int32_t);
constexpr long panel_size(long depth) { return kPanelHeader + depth * kUnits; }
constexpr long row_size(long depth) { return 2 * depth; }

// Packs one row of a matrix, which becomes a column of the panel.
inline void pack_row(Weight *panel, long column, const int8_t *weights, long count) {
  int32_t sum = 0;
  for (long k = 0; k < count; k++) {
    sum += weights[k];
    panel[kPanelHeader + (k / kVnniFactor * kUnits + column) * kVnniFactor + k % kVnniFactor] = weights[k];
  }
  const int32_t start = -128 * sum;
  memcpy(panel + column * sizeof start, &start, sizeof start);
}

// Sets a row to zero: 0x80 is 0 in the offset plane.
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

// The sums of the products with each plane.
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
// Returns the sum of both planes for the columns from `first` on. The high sum including its start value is below 2^23,
// so 256 times it fits in 32 bits.
CHARLOOM_INLINE Ints combine_planes(Sum sum, const Weight *panel, long first) {
  return (sum.high + read<Ints>(panel + first * sizeof(int32_t))) * 256 + sum.low;
}

// Independent sums for one result, and rows that multiply() takes at a time: a tile's 16.
constexpr long kAccumulators = 4, kRowBlock = 16;

}  // namespace
