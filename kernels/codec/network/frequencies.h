// From the products of the output layer to frequencies: 2 to the power of each logit, shared out so that they sum to
// 2^22 and none is zero.
#pragma once
#include <algorithm>

#include "codec/network/integer_cells.h"

namespace {

constexpr uint64_t kTotal = 1u << charloom::kFrequencyBits;

// Weights of 24 bits, from how far logits lie below the largest (format 12).
CHARLOOM_INLINE Words weights_of(Ints power, Ints below) { return ((Words)power << 8) >> ((Words)below >> 12); }

// products, bias: of `size` tokens, a multiple of 32; what lies beyond the vocabulary has a bias so low that its weight
// is zero. numbers: int32 [size], for the way; may be the products' sums.
inline void share_out(const Products &products, const int32_t *bias, long size, long vocabulary, const int16_t *cubic,
                      int32_t *numbers, uint32_t *frequencies) {
  Ints largest_of_lane = fill_ints(INT32_MIN);
  for (long v = 0; v < size; v += kLanes) {
    const Ints logit = read<Ints>(bias + v) + scaled(products, v);
    store(numbers + v, logit);
    largest_of_lane = larger(largest_of_lane, logit);
  }
  int32_t largest = largest_of_lane[0];
  for (long i = 1; i < kLanes; i++) largest = std::max(largest, largest_of_lane[i]);

  // 2^-x for x of format 15 between 0 and 1; format 15.
  const Shorts c0 = fill_shorts(cubic[0]), c1 = fill_shorts(cubic[1]), c2 = fill_shorts(cubic[2]);
  const Shorts c3 = fill_shorts(cubic[3]);
  auto exp2 = [&](Shorts x) { return c0 + times(c1 + times(c2 + times(c3, x), x), x); };
  uint64_t sum = 0;
  Ints likeliest_of_lane = fill_ints(INT32_MAX);  // the first of those whose logit is the largest
  constexpr long kChunk = 256 * kShortLanes;      // 512 weights for each lane: their sum stays below 2^32
  for (long chunk = 0; chunk < size; chunk += kChunk) {
    Words sum_of_lane{};
    for (long v = chunk; v < std::min(size, chunk + kChunk); v += kShortLanes) {
      const Ints farthest = fill_ints((24 << 12) - 1);
      const Ints low = smaller(largest - read<Ints>(numbers + v), farthest);
      const Ints high = smaller(largest - read<Ints>(numbers + v + kLanes), farthest);
      const Shorts power = exp2(saturated((low & 4095) << 3, (high & 4095) << 3));
      const Words low_weights = weights_of(widened_low(power), low),
                  high_weights = weights_of(widened_high(power), high);
      store(numbers + v, (Ints)low_weights);
      store(numbers + v + kLanes, (Ints)high_weights);
      sum_of_lane += low_weights + high_weights;
      const Ints low_place = lane_numbers() + (int32_t)v, high_place = low_place + (int32_t)kLanes;
      likeliest_of_lane = smaller(likeliest_of_lane, low == 0 ? low_place : fill_ints(INT32_MAX));
      likeliest_of_lane = smaller(likeliest_of_lane, high == 0 ? high_place : fill_ints(INT32_MAX));
    }
    for (long i = 0; i < kLanes; i++) sum += sum_of_lane[i];
  }

  // Less than 2^32, for the likeliest token's weight alone is 2^22 at least.
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
  frequencies[likeliest] += (uint32_t)kTotal - (total - (uint32_t)(size - vocabulary));
}

}  // namespace
