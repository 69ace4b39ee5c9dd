// Products of bfloat16 on AMX tiles: a tile holds 16 rows of 64 bytes, and one instruction multiplies two of them into
// a third of float32. float32 stays with the vectors.
//
// Left-hand rows come in blocks of 16 and k in blocks of 32: what lies beyond is read (and must be there), multiplied
// with zeros of the panel or left unused.
#pragma once
#include "matmul.h"

#if !defined(CHARLOOM_EMULATED_TILES)
#define TILE_LOAD(t, from, stride) _tile_loadd(t, from, stride)
#define TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define TILE_MULTIPLY(sum, a, b) _tile_dpbf16ps(sum, a, b)
#else
#include "emulated_tiles.h"
#endif

namespace {

template <class Number>
constexpr long kRowBlock = 1;
template <>
constexpr long kRowBlock<bfloat16> = 16;
template <class Number>
constexpr long kStrip = kMaxRows;  // rows of a strip, see packing.h
template <>
constexpr long kStrip<bfloat16> = 32;
template <class Number>
constexpr long kDepthBlock = kPerStep<Number>;
template <>
constexpr long kDepthBlock<bfloat16> = 32;

CHARLOOM_INLINE void multiply(long rows, long k_size, Left<float> left, const float *panel, long panels,
                              Result result) {
  multiply_vectors(rows, k_size, left, panel, panels, result);
}

// 32 rows and one panel: two tiles by two.
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
    TILE_MULTIPLY(0, 4, 6);
    TILE_MULTIPLY(1, 4, 7);
    TILE_MULTIPLY(2, 5, 6);
    TILE_MULTIPLY(3, 5, 7);
  }
  TILE_STORE(0, c, line);
  TILE_STORE(1, c + 16, line);
  TILE_STORE(2, c_below, line);
  TILE_STORE(3, c_below + 16, line);
}

// 16 rows and two panels: one tile by four, so that four sums are still under way at once.
CHARLOOM_INLINE void multiply_16_rows_2_panels(long k_size, Left<bfloat16> left, const bfloat16 *panel, long stride,
                                               Result result) {
  const long line = result.row_stride * 4, left_line = left.row_stride * 2;
  constexpr long panel_line = kPanel * 4;
  float *c = result.data, *c_next = c + result.panel_stride;
  TILE_LOAD(0, c, line);
  TILE_LOAD(1, c + 16, line);
  TILE_LOAD(2, c_next, line);
  TILE_LOAD(3, c_next + 16, line);
  for (long k = 0; k < k_size; k += 32, panel += 32 * kPanel) {
    TILE_LOAD(4, left.data + k, left_line);
    TILE_LOAD(5, panel, panel_line);
    TILE_MULTIPLY(0, 4, 5);
    TILE_LOAD(6, panel + 32, panel_line);
    TILE_MULTIPLY(1, 4, 6);
    TILE_LOAD(7, panel + stride, panel_line);
    TILE_MULTIPLY(2, 4, 7);
    TILE_LOAD(5, panel + stride + 32, panel_line);
    TILE_MULTIPLY(3, 4, 5);
  }
  TILE_STORE(0, c, line);
  TILE_STORE(1, c + 16, line);
  TILE_STORE(2, c_next, line);
  TILE_STORE(3, c_next + 16, line);
}

CHARLOOM_INLINE void multiply_16_rows(long k_size, Left<bfloat16> left, const bfloat16 *panel, Result result) {
  const long line = result.row_stride * 4, left_line = left.row_stride * 2;
  constexpr long panel_line = kPanel * 4;
  TILE_LOAD(0, result.data, line);
  TILE_LOAD(1, result.data + 16, line);
  for (long k = 0; k < k_size; k += 32, panel += 32 * kPanel) {
    TILE_LOAD(4, left.data + k, left_line);
    TILE_LOAD(5, panel, panel_line);
    TILE_MULTIPLY(0, 4, 5);
    TILE_LOAD(6, panel + 32, panel_line);
    TILE_MULTIPLY(1, 4, 6);
  }
  TILE_STORE(0, result.data, line);
  TILE_STORE(1, result.data + 16, line);
}

CHARLOOM_INLINE void multiply(long rows, long k_size, Left<bfloat16> left, const bfloat16 *panel, long panels,
                              Result result) {
  const long stride = panel_size<bfloat16>(k_size);
  rows = round_up(rows, 16);
  for (long i = 0; i < rows;) {
    const Left<bfloat16> from{left.data + i * left.row_stride, left.row_stride, left.k_stride};
    const Result to{result.data + i * result.row_stride, result.row_stride, result.panel_stride};
    if (rows - i >= 32) {
      for (long p = 0; p < panels; p++)
        multiply_32_rows(k_size, from, panel + p * stride,
                         {to.data + p * to.panel_stride, to.row_stride, to.panel_stride});
      i += 32;
      continue;
    }
    long p = 0;
    for (; p + 2 <= panels; p += 2)
      multiply_16_rows_2_panels(k_size, from, panel + p * stride, stride,
                                {to.data + p * to.panel_stride, to.row_stride, to.panel_stride});
    if (p < panels)
      multiply_16_rows(k_size, from, panel + p * stride,
                       {to.data + p * to.panel_stride, to.row_stride, to.panel_stride});
    i += 16;
  }
}

}  // namespace
