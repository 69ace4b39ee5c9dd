// AMX tiles of bytes in plain code, for tests of the code around them on processors that have none.
#pragma once

namespace {

struct Tile {
  uint8_t row[16][64];
};
thread_local Tile emulated_tile[8];

static void emulated_zero(int t) { memset(&emulated_tile[t], 0, sizeof(Tile)); }
static void emulated_load(int t, const void *from, long stride) {
  for (int r = 0; r < 16; r++) memcpy(emulated_tile[t].row[r], static_cast<const uint8_t *>(from) + r * stride, 64);
}
static void emulated_store(int t, void *to, long stride) {
  for (int r = 0; r < 16; r++) memcpy(static_cast<uint8_t *>(to) + r * stride, emulated_tile[t].row[r], 64);
}
// Unsigned by signed bytes.
static void emulated_multiply(int sum, int a, int b) {
  for (int m = 0; m < 16; m++)
    for (int n = 0; n < 16; n++) {
      int32_t x;
      memcpy(&x, emulated_tile[sum].row[m] + 4 * n, 4);
      for (int k = 0; k < 64; k++) x += emulated_tile[a].row[m][k] * (int8_t)emulated_tile[b].row[k / 4][4 * n + k % 4];
      memcpy(emulated_tile[sum].row[m] + 4 * n, &x, 4);
    }
}

}  // namespace

#define TILE_ZERO(t) emulated_zero(t)
#define TILE_LOAD(t, from, stride) emulated_load(t, from, stride)
#define TILE_STORE(t, to, stride) emulated_store(t, to, stride)
#define TILE_MULTIPLY(sum, a, b) emulated_multiply(sum, a, b)
