// Mixing of logits in vectors, see codec_kernels.h.
#pragma once
#include "codec/network/integer_vectors.h"

namespace {  // every instruction set compiles its own: nothing here may be shared between them by the linker

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
      sum += (Words)pair_products(read<Shorts>(x + i), read<Shorts>(weights[s] + i));
    sums[s] = sum_of((Ints)sum);
  }
}

void learn(const int16_t *x, int16_t *const *weights, int sets, int inputs, const int16_t *steps) {
  for (int s = 0; s < sets; s++) {
    const Shorts step = fill_shorts(steps[s]);
    for (int i = 0; i < inputs; i += kShortLanes)
      store(weights[s] + i, add_saturated(read<Shorts>(weights[s] + i), times(read<Shorts>(x + i), step)));
  }
}

}  // namespace
