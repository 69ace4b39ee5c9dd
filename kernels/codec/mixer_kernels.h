// The mixer, in plain loops that compilers turn into vectors.
#pragma once
#include "mixer.h"

namespace {  // every instruction set compiles its own: nothing here may be shared between them by the linker

void mix(const int16_t *x, const int16_t *const *weights, int sets, int inputs, int32_t *sums) {
  for (int s = 0; s < sets; s++) {
    const int16_t *w = weights[s];
    int32_t sum = 0;
    for (int i = 0; i < inputs; i++) sum = (int32_t)((uint32_t)sum + (uint32_t)((int32_t)x[i] * w[i]));
    sums[s] = sum;
  }
}

void learn(const int16_t *x, int16_t *const *weights, int sets, int inputs, const int16_t *steps) {
  for (int s = 0; s < sets; s++) {
    int16_t *w = weights[s];
    const int32_t step = steps[s];
    for (int i = 0; i < inputs; i++) {
      int32_t sum = w[i] + ((x[i] * step + (1 << 14)) >> 15);
      sum = sum < -32768 ? -32768 : sum;
      w[i] = (int16_t)(sum > 32767 ? 32767 : sum);
    }
  }
}

}  // namespace
