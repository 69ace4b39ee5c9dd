// From the products of the output layer to frequencies: 2 to the power of each logit, shared out so that they sum to
// 2^22 and none is zero.
#pragma once
#include <algorithm>

#include "cells.h"

namespace {

constexpr uint64_t kTotal = 1u << charloom::kFrequencyBits;
constexpr long kChunk = 256;  // so many weights of 23 bits sum to less than 2^32

// logits: int32 [size], a multiple of 32, which become what is written; padding has a logit so small that its weight is
// zero. Plain loops, which the compiler makes vectors of.
inline void share_out(int32_t *logits, long size, long vocabulary, const int16_t *exp2, uint32_t *frequencies) {
  int32_t largest = logits[0];
  for (long v = 0; v < size; v++) largest = std::max(largest, logits[v]);
  int32_t likeliest = INT32_MAX;  // the first of them
  for (long v = 0; v < size; v++) likeliest = std::min(likeliest, logits[v] == largest ? (int32_t)v : INT32_MAX);
  const int32_t c0 = exp2[0], c1 = exp2[1], c2 = exp2[2], c3 = exp2[3], half = 1 << 14;
  uint64_t sum = 0;
  for (long chunk = 0; chunk < size; chunk += kChunk) {
    const long end = std::min(size, chunk + kChunk);
    uint32_t chunk_sum = 0;
    for (long v = chunk; v < end; v++) {
      const int32_t below = std::min(largest - logits[v], (24 << 12) - 1), x = (below & 4095) << 3;
      int32_t power = c2 + ((c3 * x + half) >> 15);
      power = c1 + ((power * x + half) >> 15);
      power = c0 + ((power * x + half) >> 15);
      const uint32_t weight = ((uint32_t)power << 8) >> (below >> 12);
      logits[v] = (int32_t)weight;
      chunk_sum += weight;
    }
    sum += chunk_sum;
  }
  const uint64_t share = ((kTotal - vocabulary) << 32) / sum;
  uint32_t total = 0;
  for (long v = 0; v < size; v++) {
    const uint32_t frequency = 1 + (uint32_t)(((uint64_t)(uint32_t)logits[v] * share) >> 32);
    logits[v] = (int32_t)frequency;
    total += frequency;
  }
  memcpy(frequencies, logits, vocabulary * sizeof *frequencies);
  frequencies[likeliest] += (uint32_t)kTotal - (total - (uint32_t)(size - vocabulary));
}

}  // namespace
