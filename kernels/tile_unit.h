// What a thread must hold to multiply: with AMX the shape of its eight tiles, 16 rows of 64 bytes each; else nothing.
#pragma once
#include <cstdint>

#if defined(CHARLOOM_TILES) && !defined(CHARLOOM_EMULATED_TILES)
#include <immintrin.h>
#endif

namespace {

#if defined(CHARLOOM_TILES) && !defined(CHARLOOM_EMULATED_TILES)
struct TileUnit {
  TileUnit() {
    alignas(64) uint8_t shape[64] = {1};  // palette 1; for each tile bytes a row (two bytes each), then rows
    for (int t = 0; t < 8; t++) {
      shape[16 + 2 * t] = 64;
      shape[48 + t] = 16;
    }
    _tile_loadconfig(shape);
  }
  ~TileUnit() { _tile_release(); }
};
#else
struct TileUnit {
  TileUnit() {}
};
#endif

}  // namespace
