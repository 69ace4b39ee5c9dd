// Products of bfloat16 on AMX tiles: a tile has 16 rows of 64 bytes, and one instruction multiplies two tiles and adds
// to a third of float32. Products of float32 stay with the vectors of matmul.h.
//
// Left-hand rows come in blocks of 16 and k in blocks of 32. What lies beyond the last row or value is read (so it must
// be allocated), and is multiplied with zeros of the panel or ignored in the result.
#pragma once
#include "products/matmul.h"

namespace {

// 32 rows and one panel: two tiles by two, so that each tile that is loaded is used twice.
CHARLOOM_INLINE void multiply_32_rows(long k_size, Left<bfloat16> left, const bfloat16 *panel, Result result) {
  const long line = result.row_stride * 4, left_line = left.row_stride * 2;
  constexpr long panel_line = kPanel * 4;  // a pair of k for each column
  float *c = result.data, *c_below = c + 16 * result.row_stride;
  TILE_LOAD(0, c, line);
  TILE_LOAD(1, c + 16, line);
  TILE_LOAD(2, c_below, line);
  TILE_LOAD(3, c_below + 16, line);
  const bfloat16 *a = left.data, *a_below = a + 16 * left.row_stride;
  for (long k = 0; k < k_size; k += 32, panel += 32 * kPanel) {
    TILE_LOAD(4, a + k, left_line);
    TILE_LOAD(6, panel, panel_line);
    TILE_LOAD(7, panel + 32, panel_line);
    TILE_LOAD(5, a_below + k, left_line);
    TILE_MULTIPLY_BFLOAT16(0, 4, 6);
    TILE_MULTIPLY_BFLOAT16(1, 4, 7);
    TILE_MULTIPLY_BFLOAT16(2, 5, 6);
    TILE_MULTIPLY_BFLOAT16(3, 5, 7);
  }
  TILE_STORE(0, c, line);
  TILE_STORE(1, c + 16, line);
  TILE_STORE(2, c_below, line);
  TILE_STORE(3, c_below + 16, line);
}

// 16 rows and one or two panels: one tile by four, so that four independent sums hide the latency.
template <int PANELS>
CHARLOOM_INLINE void multiply_16_rows(long k_size, Left<bfloat16> left, const bfloat16 *panel, long stride,
                                      Result result) {
  const long line = result.row_stride * 4, left_line = left.row_stride * 2;
  constexpr long panel_line = kPanel * 4;
  float *c = result.data, *c_next = result.from(0, 1).data;
  TILE_LOAD(0, c, line);
  TILE_LOAD(1, c + 16, line);
  if (PANELS == 2) {
    TILE_LOAD(2, c_next, line);
    TILE_LOAD(3, c_next + 16, line);
  }
  for (long k = 0; k < k_size; k += 32, panel += 32 * kPanel) {
    TILE_LOAD(4, left.data + k, left_line);
    TILE_LOAD(5, panel, panel_line);
    TILE_MULTIPLY_BFLOAT16(0, 4, 5);
    TILE_LOAD(6, panel + 32, panel_line);
    TILE_MULTIPLY_BFLOAT16(1, 4, 6);
    if (PANELS == 1) continue;
    TILE_LOAD(7, panel + stride, panel_line);
    TILE_MULTIPLY_BFLOAT16(2, 4, 7);
    TILE_LOAD(5, panel + stride + 32, panel_line);
    TILE_MULTIPLY_BFLOAT16(3, 4, 5);
  }
  TILE_STORE(0, c, line);
  TILE_STORE(1, c + 16, line);
  if (PANELS == 2) {
    TILE_STORE(2, c_next, line);
    TILE_STORE(3, c_next + 16, line);
  }
}

CHARLOOM_INLINE void multiply(long rows, long k_size, Left<bfloat16> left, const bfloat16 *panel, long panels,
                              Result result) {
  const long stride = panel_size<bfloat16>(k_size);
  long i = 0, p = 0;
  for (; i + 16 < rows; i += 32)
    for (p = 0; p < panels; p++) multiply_32_rows(k_size, left.from(i), panel + p * stride, result.from(i, p));
  if (i >= rows) return;
  for (p = 0; p + 2 <= panels; p += 2)
    multiply_16_rows<2>(k_size, left.from(i), panel + p * stride, stride, result.from(i, p));
  if (p < panels) multiply_16_rows<1>(k_size, left.from(i), panel + p * stride, stride, result.from(i, p));
}

// Transposes in place: dword j of row i becomes dword i of row j.
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

// As in packing.h, but with the values of k adjacent, since a tile holds rows of k.
template <class Row>
CHARLOOM_INLINE Left<bfloat16> pack_strip(bfloat16 *strip, Row row, long k_count, long k_size) {
  // Indices that interleave columns 0 to 15 of two rows; those for columns 16 to 31 are 16 larger.
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
