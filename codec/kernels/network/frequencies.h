// Logits to frequencies: 2 to the power of each logit, normalized so that the frequencies sum to 2^22 and none is zero.
// A range coder needs exactly that: every token can be coded, and both ends agree on the sum.
#pragma once
#include <algorithm>

#include "network/integer_cells.h"

namespace {

constexpr uint64_t kTotal = 1u << charloom::kFrequencyBits;

// Returns weights of 24 bits from the distances of logits to the largest (12 fraction bits).
CHARLOOM_INLINE Words exp2_weights(Ints power, Ints below) { return ((Words)power << 8) >> ((Words)below >> 12); }

// Computes the frequencies of one lane.
//
// products, bias: of `size` tokens, a multiple of 32. Tokens beyond the vocabulary have so low a bias that their weight
// is zero. numbers: int32 [size], scratch; may be the sums of `products`.
inline void compute_frequencies(const Products &products, const int32_t *bias, long size, long vocabulary,
                                const int16_t *cubic, int32_t *numbers, uint32_t *frequencies) {
  Ints lane_max = fill_ints(INT32_MIN);
  for (long v = 0; v < size; v += kLanes) {
    const Ints logit = read<Ints>(bias + v) + rescale(products, v);
    store(numbers + v, logit);
    lane_max = max(lane_max, logit);
  }
  int32_t largest = lane_max[0];
  for (long i = 1; i < kLanes; i++) largest = std::max(largest, lane_max[i]);

  // 2^-x for x between 0 and 1, both with 15 fraction bits.
  const Shorts c0 = fill_shorts(cubic[0]), c1 = fill_shorts(cubic[1]), c2 = fill_shorts(cubic[2]);
  const Shorts c3 = fill_shorts(cubic[3]);
  auto exp2 = [&](Shorts x) { return c0 + multiply_q15(c1 + multiply_q15(c2 + multiply_q15(c3, x), x), x); };
  uint64_t sum = 0;
  Ints likeliest_of_lane = fill_ints(INT32_MAX);  // the first token with the largest logit
  constexpr long kChunk = 256 * kShortLanes;      // 512 weights for each lane, whose sum stays below 2^32
  for (long chunk = 0; chunk < size; chunk += kChunk) {
    Words sum_of_lane{};
    for (long v = chunk; v < std::min(size, chunk + kChunk); v += kShortLanes) {
      // Beyond 24 halvings a weight is zero, and the shift must stay below 32.
      const Ints farthest = fill_ints((24 << 12) - 1);
      const Ints low = min(largest - read<Ints>(numbers + v), farthest);
      const Ints high = min(largest - read<Ints>(numbers + v + kLanes), farthest);
      const Shorts power = exp2(saturated((low & 4095) << 3, (high & 4095) << 3));
      const Words low_weights = exp2_weights(widened_low(power), low),
                  high_weights = exp2_weights(widened_high(power), high);
      store(numbers + v, (Ints)low_weights);
      store(numbers + v + kLanes, (Ints)high_weights);
      sum_of_lane += low_weights + high_weights;
      const Ints low_place = lane_numbers() + (int32_t)v, high_place = low_place + (int32_t)kLanes;
      likeliest_of_lane = min(likeliest_of_lane, low == 0 ? low_place : fill_ints(INT32_MAX));
      likeliest_of_lane = min(likeliest_of_lane, high == 0 ? high_place : fill_ints(INT32_MAX));
    }
    for (long i = 0; i < kLanes; i++) sum += sum_of_lane[i];
  }

  // Each token gets 1, so that none is zero, plus its share of the rest. The factor is below 2^32, because the weight
  // of the likeliest token alone is at least 2^22.
  const uint32_t share = (uint32_t)(((kTotal - vocabulary) << 32) / sum);
  Words total_of_lane{};
  for (long v = 0; v < size; v += kLanes) {
    const Words frequency = 1 + high_product((Words)read<Ints>(numbers + v), share);
    store(numbers + v, (Ints)frequency);
    total_of_lane += frequency;
  }
  uint32_t total = 0;
  int32_t likeliest = INT32_MAX;
  for (long i = 0; i < kLanes; i++) {
    total += total_of_lane[i];
    likeliest = std::min(likeliest, likeliest_of_lane[i]);
  }
  memcpy(frequencies, numbers, vocabulary * sizeof *frequencies);
  // What rounding has left over goes to the likeliest token, for which it changes the least.
  frequencies[likeliest] += (uint32_t)kTotal - (total - (uint32_t)(size - vocabulary));
}

}  // namespace
