// Dropout with masks that are computed from a seed whenever they are needed, forward and backward. No mask is stored.
#pragma once
#include <cstdint>

namespace {

// A counter-based random-number generator: its output depends on key and counter alone, so masks can be computed in any
// order by any thread. Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011.
struct Philox4x32 {
  uint32_t word[4];
};

static inline Philox4x32 philox4x32(uint64_t key, uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3) {
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

struct Dropout {
  float probability;
  uint64_t seed;
  uint32_t stream;  // index of the dropout in the model

  bool on() const { return probability > 0; }

  // x[j] *= 0 or 1 / (1 - probability), for units [first, first + count) of a row; count is a multiple of 8, because
  // one block of random bits serves eight units with 16 bits each.
  void apply(float *x, long row, long first, long count) const {
    const uint32_t threshold = (uint32_t)(probability * 65536.f + 0.5f);
    const float scale = 1.f / (1.f - probability);
    for (long j = 0; j < count; j += 8) {
      const Philox4x32 bits = philox4x32(seed, (uint32_t)row, (uint32_t)((first + j) / 8), stream, 0);
      for (int i = 0; i < 8; i++) {
        const uint32_t draw = bits.word[i / 2] >> (i % 2 * 16) & 0xffff;
        x[j + i] = draw < threshold ? 0.f : x[j + i] * scale;
      }
    }
  }
};

}  // namespace
