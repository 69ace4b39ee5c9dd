// AMX tiles in plain code, for tests of the code around them on processors that have none.
#pragma once
#include <cstdint>
#include <cstring>

namespace {

struct Tile {
  uint8_t row[16][64];
};
thread_local Tile emulated_tile[8];

static void emulated_load(int t, const void *from, long stride) {
  for (int r = 0; r < 16; r++) memcpy(emulated_tile[t].row[r], static_cast<const uint8_t *>(from) + r * stride, 64);
}
static void emulated_store(int t, void *to, long stride) {
  for (int r = 0; r < 16; r++) memcpy(static_cast<uint8_t *>(to) + r * stride, emulated_tile[t].row[r], 64);
}
static float emulated_bfloat16(const uint8_t *at) {
  uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 24;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
static void emulated_multiply(int sum, int a, int b) {
  for (int m = 0; m < 16; m++)
    for (int n = 0; n < 16; n++) {
      float x;
      memcpy(&x, emulated_tile[sum].row[m] + 4 * n, 4);
      for (int k = 0; k < 16; k++)
        for (int i = 0; i < 2; i++)
          x += emulated_bfloat16(emulated_tile[a].row[m] + 4 * k + 2 * i) *
               emulated_bfloat16(emulated_tile[b].row[k] + 4 * n + 2 * i);
      memcpy(emulated_tile[sum].row[m] + 4 * n, &x, 4);
    }
}

}  // namespace

#define TILE_LOAD(t, from, stride) emulated_load(t, from, stride)
#define TILE_STORE(t, to, stride) emulated_store(t, to, stride)
#define TILE_MULTIPLY(sum, a, b) emulated_multiply(sum, a, b)
