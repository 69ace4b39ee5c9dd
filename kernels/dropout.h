// Dropout whose mask is computed where it is needed, forward and backward, from a seed: nothing is stored.
#pragma once
#include "random.h"
#include "vector.h"

namespace {

struct Dropout {
  float probability;
  uint64_t seed;
  uint32_t stream;  // which dropout of the model

  bool on() const { return probability > 0; }

  // x[j] *= 0 or 1 / (1 - probability), for units [first, first + count) of a row, count a multiple of 8: one block
  // of random bits serves eight units with sixteen bits each.
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
