// The same products on AMX tiles: 16 rows of 64 bytes, of which one instruction multiplies two into a third of int32.
// 16 lanes at a time; both planes of activations by both halves of a panel, so that four sums are under way and each
// tile is used twice.
#pragma once

#if !defined(CHARLOOM_EMULATED_TILES)
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, from, stride) _tile_loadd(t, from, stride)
#define TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define TILE_MULTIPLY(sum, a, b) _tile_dpbusd(sum, a, b)
#else
#include "emulated_tiles.h"
#endif

namespace {

// 16 rows of activations with a panel.
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
    TILE_MULTIPLY(0, 4, 6);
    TILE_MULTIPLY(1, 4, 7);
    TILE_MULTIPLY(2, 5, 6);
    TILE_MULTIPLY(3, 5, 7);
  }
  TILE_STORE(0, high[0], sizeof high[0]);
  TILE_STORE(1, high[0] + 16, sizeof high[0]);
  TILE_STORE(2, low[0], sizeof low[0]);
  TILE_STORE(3, low[0] + 16, sizeof low[0]);
  for (long v = 0; v < kUnits; v += kLanes) {
    Ints start;
    memcpy(&start, panel + v * sizeof(int32_t), sizeof start);
    for (long r = 0; r < 16; r++)
      store_ints(result + r * result_stride + v, planes_joined(load_ints(high[r] + v) + start, load_ints(low[r] + v)));
  }
}

// Few rows are the vectors': a tile takes as long for one as for 16. Where tiles are taken, all 16 rows are read and
// written, whether they are lanes or not.
constexpr long kFewRows = 4;

CHARLOOM_INLINE void multiply(long rows, long depth, const Activation *left, long stride, const Weight *panel,
                              long panels, int32_t *result, long result_stride) {
  if (rows <= kFewRows) {
    multiply_vectors(rows, depth, left, stride, panel, panels, result, result_stride);
    return;
  }
  for (long p = 0; p < panels; p++)
    multiply_tiles(depth, left, stride, panel + p * panel_size(depth), result + p * kUnits, result_stride);
}

}  // namespace
