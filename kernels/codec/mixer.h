// Mixes logits by sets of weights: what the instruction sets do in their own ways.
//
// x: int16 (kInputs), logits. weights: int16 (kInputs), the weight 1 is 2^14. Sums are of 32 bits and wrap around, so
// that any order gives the same.
#pragma once
#include <cstdint>

namespace charloom {

constexpr int kWeightBits = 14, kWeightOne = 1 << kWeightBits;

struct Mixer {
  // sums[s] = x weights[s], for `sets` sets of `inputs` weights, a multiple of 32.
  void (*mix)(const int16_t *x, const int16_t *const *weights, int sets, int inputs, int32_t *sums);
  // weights[s] += x steps[s] / 2^15, rounded and saturating.
  void (*learn)(const int16_t *x, int16_t *const *weights, int sets, int inputs, const int16_t *steps);
};

}  // namespace charloom
