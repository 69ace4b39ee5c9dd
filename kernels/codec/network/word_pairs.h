// Products of 16-bit activations with 16-bit copies of the weights, a pair at a time.
//
// Panel: [depth / 2][32][2]. A row of activations: `depth` 16-bit numbers.
#pragma once
#include "codec/network/integer_vectors.h"
#include "runtime/tile_unit.h"

namespace {

using Weight = int16_t;
using Activation = int16_t;

constexpr long panel_size(long depth) { return depth * kUnits; }
constexpr long row_size(long depth) { return depth; }

// One row of a matrix, which becomes a column of the panel.
inline void put_row(Weight *panel, long column, const int8_t *weights, long count) {
  for (long k = 0; k < count; k++) panel[(k / 2 * kUnits + column) * 2 + k % 2] = weights[k];
}

inline void clear_row(Activation *row, long depth) { memset(row, 0, depth * sizeof *row); }
CHARLOOM_INLINE Shorts load_activations(const Activation *row, long /* depth */, long unit) {
  return load_shorts(row + unit);
}
CHARLOOM_INLINE void store_activations(Activation *row, long /* depth */, long unit, Shorts v) {
  store_shorts(row + unit, v);
}

CHARLOOM_INLINE void multiply_add(Ints &sum, const Activation *pair, Ints weights) {
  int32_t two;
  memcpy(&two, pair, sizeof two);
#if defined(__SSE2__)
  sum += pair_products((Shorts)fill_ints(two), (Shorts)weights);
#else
  sum += (weights << 16 >> 16) * (int32_t)pair[0] + (weights >> 16) * (int32_t)pair[1];
#endif
}

// ROWS rows of activations with VECTORS vectors of a panel's columns. DEPTHS: sums kept for one result, so that enough
// are under way at once.
template <long ROWS, long VECTORS, long DEPTHS>
static void multiply_block(long depth, const Activation *rows, long stride, const Weight *columns, int32_t *result,
                           long result_stride) {
  Ints sum[DEPTHS][ROWS][VECTORS] = {};
  for (long k = 0; k < depth; k += 2 * DEPTHS)
#pragma GCC unroll 4
    for (long d = 0; d < DEPTHS; d++)
#pragma GCC unroll 4
      for (long v = 0; v < VECTORS; v++) {
        Ints weights;
        memcpy(&weights, columns + ((k / 2 + d) * kUnits + v * kLanes) * 2, sizeof weights);
#pragma GCC unroll 4
        for (long r = 0; r < ROWS; r++) multiply_add(sum[d][r][v], rows + r * stride + k + 2 * d, weights);
      }
  // Unrolled as the loops above are, so that no sum ever has an address.
#pragma GCC unroll 4
  for (long r = 0; r < ROWS; r++)
#pragma GCC unroll 4
    for (long v = 0; v < VECTORS; v++) {
      Ints total = sum[0][r][v];
#pragma GCC unroll 4
      for (long d = 1; d < DEPTHS; d++) total += sum[d][r][v];
      store_ints(result + r * result_stride + v * kLanes, total);
    }
}

constexpr long kRowBlock = 4;

// Products of `rows` rows (kRowBlock at most) with `panels` panels; result: row r's 32 of panel p at
// result + r * result_stride + p * 32.
CHARLOOM_INLINE void multiply(long rows, long depth, const Activation *left, long stride, const Weight *panel,
                              long panels, int32_t *result, long result_stride) {
  for (long p = 0; p < panels; p++, panel += panel_size(depth), result += kUnits) {
    if (rows == kRowBlock) {
      for (long v = 0; v < kUnits / kLanes; v += 2)
        multiply_block<kRowBlock, 2, 1>(depth, left, stride, panel + v * kLanes * 2, result + v * kLanes,
                                        result_stride);
    } else {
      for (long r = 0; r < rows; r++)
        for (long v = 0; v < kUnits / kLanes; v += 4)
          multiply_block<1, 4, 2>(depth, left + r * stride, stride, panel + v * kLanes * 2,
                                  result + r * result_stride + v * kLanes, result_stride);
    }
  }
}

}  // namespace
