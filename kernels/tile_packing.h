// The left-hand side of gradient products for AMX tiles: bfloat16 rows of k, so that a strip is a true transpose.
#pragma once
#include "matmul.h"

namespace {

// In place: dword j of row i becomes dword i of row j.
CHARLOOM_INLINE void transpose_16x16(__m512i (&row)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    row[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    row[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    row[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    row[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int j = 0; j < 4; j++) {
    t[j] = _mm512_shuffle_i32x4(row[j], row[j + 4], 0x88);
    t[j + 4] = _mm512_shuffle_i32x4(row[j], row[j + 4], 0xdd);
    t[j + 8] = _mm512_shuffle_i32x4(row[j + 8], row[j + 12], 0x88);
    t[j + 12] = _mm512_shuffle_i32x4(row[j + 8], row[j + 12], 0xdd);
  }
  for (int j = 0; j < 4; j++) {
    row[j] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0x88);
    row[j + 4] = _mm512_shuffle_i32x4(t[j + 4], t[j + 12], 0x88);
    row[j + 8] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0xdd);
    row[j + 12] = _mm512_shuffle_i32x4(t[j + 4], t[j + 12], 0xdd);
  }
}

template <class Row>
CHARLOOM_INLINE Left<bfloat16> pack_strip(bfloat16 *strip, Row row, long k_count, long k_size) {
  // Dwords of one vector: columns 0 to 15 of two rows side by side; of the other: columns 16 to 31.
  alignas(64) static constexpr uint16_t low[32] = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                   8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i first_half = _mm512_load_si512(low), second_half = _mm512_add_epi16(first_half, _mm512_set1_epi16(16));
  for (long k = 0; k < k_size; k += 32) {
    __m512i left[16], right[16];
    for (long p = 0; p < 16; p++) {
      const long even = k + 2 * p, odd = even + 1;
      const __m512i a = even < k_count ? _mm512_loadu_si512(row(even)) : __m512i{};
      const __m512i b = odd < k_count ? _mm512_loadu_si512(row(odd)) : __m512i{};
      left[p] = _mm512_permutex2var_epi16(a, first_half, b);
      right[p] = _mm512_permutex2var_epi16(a, second_half, b);
    }
    transpose_16x16(left);
    transpose_16x16(right);
    for (long i = 0; i < 16; i++) {
      _mm512_storeu_si512(strip + i * k_size + k, left[i]);
      _mm512_storeu_si512(strip + (16 + i) * k_size + k, right[i]);
    }
  }
  return rows_of<bfloat16>(strip, k_size);
}

}  // namespace
