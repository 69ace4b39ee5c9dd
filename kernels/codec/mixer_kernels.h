// The mixer in vectors.
#pragma once
#include "integer_vectors.h"
#include "mixer.h"

namespace {  // every instruction set compiles its own: nothing here may be shared between them by the linker

// Sums of the products of two neighbours each.
CHARLOOM_INLINE Ints pair_products(Shorts a, Shorts b) {
#if defined(__AVX512BW__)
  return (Ints)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
  return (Ints)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
  return (Ints)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
  const Ints x = (Ints)a, y = (Ints)b;
  return (Ints)((Words)(x << 16 >> 16) * (Words)(y << 16 >> 16) + (Words)(x >> 16) * (Words)(y >> 16));
#endif
}

CHARLOOM_INLINE int32_t sum_of(Ints v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_epi32((__m512i)v);
#else
  uint32_t sum = 0;
  for (long i = 0; i < kLanes; i++) sum += (uint32_t)v[i];
  return (int32_t)sum;
#endif
}

void mix(const int16_t *x, const int16_t *const *weights, int sets, int inputs, int32_t *sums) {
  for (int s = 0; s < sets; s++) {
    Words sum = {};
    for (int i = 0; i < inputs; i += kShortLanes)
      sum += (Words)pair_products(load_shorts(x + i), load_shorts(weights[s] + i));
    sums[s] = sum_of((Ints)sum);
  }
}

void learn(const int16_t *x, int16_t *const *weights, int sets, int inputs, const int16_t *steps) {
  for (int s = 0; s < sets; s++) {
    const Shorts step = fill_shorts(steps[s]);
    for (int i = 0; i < inputs; i += kShortLanes)
      store_shorts(weights[s] + i, add_saturated(load_shorts(weights[s] + i), times(load_shorts(x + i), step)));
  }
}

}  // namespace
