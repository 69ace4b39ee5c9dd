// The mixer: dot products of logits with weight sets, and their training, in vectors; see codec_kernels.h.
// context_mixing.h selects the weight sets.
#pragma once
#include "network/integer_vectors.h"

// Anonymous: the linker must not share functions between the instruction sets.
namespace {

CHARLOOM_INLINE int32_t reduce_add(Ints v) {
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
    sums[s] = reduce_add((Ints)sum);
  }
}

void train(const int16_t *x, int16_t *const *weights, int sets, int inputs, const int16_t *steps) {
  for (int s = 0; s < sets; s++) {
    const Shorts step = fill_shorts(steps[s]);
    for (int i = 0; i < inputs; i += kShortLanes)
      store(weights[s] + i, add_saturated(read<Shorts>(weights[s] + i), multiply_q15(read<Shorts>(x + i), step)));
  }
}

}  // namespace
