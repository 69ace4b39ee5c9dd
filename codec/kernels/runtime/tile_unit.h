// AMX tiles: eight registers of 16 rows of 64 bytes, and the configuration that a thread needs to use them. With
// CHARLOOM_EMULATED_TILES the same operations run in plain code, so that the kernels can be tested on processors
// without AMX.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(CHARLOOM_TILES) && !defined(CHARLOOM_EMULATED_TILES)

#include <immintrin.h>

#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, from, stride) _tile_loadd(t, from, stride)
#define TILE_STORE(t, to, stride) _tile_stored(t, to, stride)
#define TILE_MULTIPLY_BFLOAT16(sum, a, b) _tile_dpbf16ps(sum, a, b)
#define TILE_MULTIPLY_BYTES(sum, a, b) _tile_dpbusd(sum, a, b)

namespace {

// Configures the tiles of this thread during its lifetime. Without a release, each context switch would save 8 kB.
struct TileConfig {
  TileConfig() {
    alignas(64) uint8_t shape[64] = {1};  // palette 1; then bytes per row of each tile (16 bits), then rows of each
    for (int t = 0; t < 8; t++) {
      shape[16 + 2 * t] = 64;
      shape[48 + t] = 16;
    }
    _tile_loadconfig(shape);
  }
  ~TileConfig() { _tile_release(); }
};

}  // namespace

#else

namespace {

struct TileConfig {
  TileConfig() {}
};

}  // namespace

#endif

#if defined(CHARLOOM_EMULATED_TILES)

#define TILE_ZERO(t) memset(&emulated_tile[t], 0, sizeof(Tile))
#define TILE_LOAD(t, from, stride) emulated_load(t, from, stride)
#define TILE_STORE(t, to, stride) emulated_store(t, to, stride)
#define TILE_MULTIPLY_BFLOAT16(sum, a, b) emulated_multiply<float>(sum, a, b, add_bfloat16_products)
#define TILE_MULTIPLY_BYTES(sum, a, b) emulated_multiply<int32_t>(sum, a, b, add_byte_products)

namespace {

struct Tile {
  uint8_t row[16][64];
};
thread_local Tile emulated_tile[8];

inline void emulated_load(int t, const void *from, long stride) {
  for (int r = 0; r < 16; r++) memcpy(emulated_tile[t].row[r], static_cast<const uint8_t *>(from) + r * stride, 64);
}
inline void emulated_store(int t, void *to, long stride) {
  for (int r = 0; r < 16; r++) memcpy(static_cast<uint8_t *>(to) + r * stride, emulated_tile[t].row[r], 64);
}

inline float emulated_bfloat16(const uint8_t *at) {
  const uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 24;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
inline void add_bfloat16_products(float &sum, const uint8_t *a, const uint8_t *b) {
  for (int i = 0; i < 4; i += 2) sum += emulated_bfloat16(a + i) * emulated_bfloat16(b + i);
}
inline void add_byte_products(int32_t &sum, const uint8_t *a, const uint8_t *b) {  // unsigned by signed
  for (int i = 0; i < 4; i++) sum += a[i] * (int8_t)b[i];
}

// add(x, a, b) adds to x the products of four bytes of a row and of a column.
template <class Number, class Add>
void emulated_multiply(int sum, int a, int b, Add add) {
  for (int m = 0; m < 16; m++)
    for (int n = 0; n < 16; n++) {
      Number x;
      memcpy(&x, emulated_tile[sum].row[m] + 4 * n, 4);
      for (int k = 0; k < 16; k++) add(x, emulated_tile[a].row[m] + 4 * k, emulated_tile[b].row[k] + 4 * n);
      memcpy(emulated_tile[sum].row[m] + 4 * n, &x, 4);
    }
}

}  // namespace

#endif
