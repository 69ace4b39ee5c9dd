// Products of 16-bit activations with 8-bit weights, which are packed in panels of 32 rows of a matrix. The layout of
// both, and the form of a sum, depend on the instructions that the instruction set has.
#pragma once
#if defined(__AVX512VNNI__)
#include "network/byte_planes.h"
#else
#include "network/word_pairs.h"
#endif
#include "runtime/tile_unit.h"

namespace {

// Multiplies ROWS rows of activations with VECTORS vectors of a panel's columns, from `first` on. ACCUMULATORS:
// independent sums for one result, to hide the latency of the multiplications.
template <long ROWS, long VECTORS, long ACCUMULATORS>
static void micro_kernel(long depth, const Activation *rows, long stride, const Weight *panel, long first,
                         int32_t *result, long result_stride) {
  Sum sum[ACCUMULATORS][ROWS][VECTORS] = {};
  const Weight *columns = panel + kPanelHeader + first * kVnniFactor;
  for (long k = 0; k < depth; k += kVnniFactor * ACCUMULATORS, columns += kVnniFactor * ACCUMULATORS * kUnits)
#pragma GCC unroll 4
    for (long d = 0; d < ACCUMULATORS; d++)
#pragma GCC unroll 4
      for (long v = 0; v < VECTORS; v++) {
        Ints weights = read<Ints>(columns + (d * kUnits + v * kLanes) * kVnniFactor);
#if defined(__AVX512VNNI__)
        // Keeps the weights in a register; GCC would load them again for each product.
        asm("" : "+v"(weights));
#endif
#pragma GCC unroll 4
        for (long r = 0; r < ROWS; r++)
          multiply_add(sum[d][r][v], rows + r * stride + k + kVnniFactor * d, depth, weights);
      }
  // Unrolled like the loops above: a sum that is indexed at run time would live in memory instead of a register.
#pragma GCC unroll 4
  for (long r = 0; r < ROWS; r++)
#pragma GCC unroll 4
    for (long v = 0; v < VECTORS; v++) {
      Sum total = sum[0][r][v];
#pragma GCC unroll 4
      for (long d = 1; d < ACCUMULATORS; d++) add(total, sum[d][r][v]);
      store(result + r * result_stride + v * kLanes, combine_planes(total, panel, first + v * kLanes));
    }
}

#if defined(CHARLOOM_TILES)
// Multiplies 16 rows of activations with a panel on tiles: both planes by both halves of the panel, so that there are
// four independent sums and each tile is used twice.
static void multiply_tiles(long depth, const Activation *rows, long stride, const Weight *panel, int32_t *result,
                           long result_stride) {
  constexpr long kLine = 4 * kUnits;  // four weights of each of 32 columns
  alignas(64) int32_t high[16][kUnits], low[16][kUnits];
  TILE_ZERO(0);
  TILE_ZERO(1);
  TILE_ZERO(2);
  TILE_ZERO(3);
  const Weight *columns = panel + kPanelHeader;
  for (long k = 0; k < depth; k += 64, columns += 64 * kUnits) {
    TILE_LOAD(4, rows + k, stride);
    TILE_LOAD(6, columns, kLine);
    TILE_LOAD(7, columns + 64, kLine);
    TILE_LOAD(5, rows + depth + k, stride);
    TILE_MULTIPLY_BYTES(0, 4, 6);
    TILE_MULTIPLY_BYTES(1, 4, 7);
    TILE_MULTIPLY_BYTES(2, 5, 6);
    TILE_MULTIPLY_BYTES(3, 5, 7);
  }
  TILE_STORE(0, high[0], sizeof high[0]);
  TILE_STORE(1, high[0] + 16, sizeof high[0]);
  TILE_STORE(2, low[0], sizeof low[0]);
  TILE_STORE(3, low[0] + 16, sizeof low[0]);
  for (long r = 0; r < 16; r++)
    for (long v = 0; v < kUnits; v += kLanes)
      store(result + r * result_stride + v,
            combine_planes({read<Ints>(high[r] + v), read<Ints>(low[r] + v)}, panel, v));
}
#endif

// Multiplies `rows` rows (at most kRowBlock) with `panels` panels. result: the 32 results of row r and panel p are at
// result + r * result_stride + p * 32.
CHARLOOM_INLINE void multiply(long rows, long depth, const Activation *left, long stride, const Weight *panel,
                              long panels, int32_t *result, long result_stride) {
  constexpr long vectors = kUnits / kLanes, at_once = vectors < 4 ? vectors : 4;
  for (long p = 0; p < panels; p++, panel += panel_size(depth), result += kUnits) {
#if defined(CHARLOOM_TILES)
    // Few rows go to the vectors, because a tile takes as long for one row as for 16. On tiles all 16 rows are read and
    // written, whether they are lanes or not: the caller must allocate them.
    if (rows > 4) {
      multiply_tiles(depth, left, stride, panel, result, result_stride);
      continue;
    }
#endif
    long r = 0;
    for (; r + 4 <= rows; r += 4)
      for (long v = 0; v < vectors; v += 2)
        micro_kernel<4, 2, 1>(depth, left + r * stride, stride, panel, v * kLanes,
                              result + r * result_stride + v * kLanes, result_stride);
    for (; r < rows; r++)
      for (long v = 0; v < vectors; v += at_once)
        micro_kernel<1, at_once, kAccumulators>(depth, left + r * stride, stride, panel, v * kLanes,
                                                result + r * result_stride + v * kLanes, result_stride);
  }
}

}  // namespace
