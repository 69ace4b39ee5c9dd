// The feed-forward network of the corrector, in vectors of hidden units; see codec_kernels.h.
#pragma once
#include "codec_kernels.h"
#include "mixing/mixer.h"

// Anonymous: the linker must not share functions between the instruction sets.
namespace {

int32_t correct(const charloom::CorrectorWeights &weights, const int16_t *inputs, const int16_t *stages,
                const int32_t *const *rows) {
  using charloom::kCategories, charloom::kCorrectorInputs, charloom::kCorrectorUnits, charloom::kUsedInputs;
  static_assert(kUsedInputs % 2 == 0);  // a pair is in one of the two arrays
  constexpr long parts = kCorrectorUnits / kLanes;
  Words sums[parts];
  for (long part = 0; part < parts; part++) {
    sums[part] = (Words)read<Ints>(rows[0] + part * kLanes);
    for (long i = 1; i < kCategories; i++) sums[part] += (Words)read<Ints>(rows[i] + part * kLanes);
  }
  for (long i = 0; i < kCorrectorInputs / 2; i++) {
    int32_t pair;
    memcpy(&pair, i < kUsedInputs / 2 ? inputs + 2 * i : stages + (2 * i - kUsedInputs), sizeof pair);
    const Shorts pairs = (Shorts)fill_ints(pair);
    for (long part = 0; part < parts; part++)
      sums[part] += (Words)pair_products(pairs, read<Shorts>(weights.inputs[i][part * kLanes]));
  }
  Words output = {};
  for (long part = 0; part < parts; part++) {
    const Ints units = min(max((Ints)sums[part] >> 11, Ints{}), fill_ints(32767));
    output += (Words)units * (Words)read_widened(weights.output + part * kLanes);
  }
  return (int32_t)((uint32_t)reduce_add((Ints)output) + (uint32_t)weights.output_bias);
}

}  // namespace
