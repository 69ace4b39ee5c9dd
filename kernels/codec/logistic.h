// Probabilities and their logits, in integers.
//
// A probability is of 16 bits, 1 to 65535; a logit is ln(p / (1 - p)) in steps of 1/256, within +-kLogitLimit. Both
// tables are made by multiplying and dividing integers alone, so that they are the same on every machine.
#pragma once
#include <cstdint>

namespace charloom {

constexpr int kLogitLimit = 2815;  // 11 nats: a probability of 1/65536, about
constexpr int kOne = 1 << 16;      // the probability 1

struct LogisticTables {
  uint16_t squash[2 * kLogitLimit + 1];  // squash[x + kLogitLimit]
  int16_t stretch[kOne];

  LogisticTables() {
    constexpr uint64_t one = 1ull << 32, step = 4278222805;  // e^(-1/256) of it
    uint64_t power = one;                                    // e^(-x/256) of it
    for (int x = 0; x <= kLogitLimit; x++) {
      const uint64_t p = ((one << 16) + (one + power) / 2) / (one + power);
      squash[kLogitLimit + x] = (uint16_t)(p < kOne - 1 ? p : kOne - 1);
      squash[kLogitLimit - x] = (uint16_t)(kOne - squash[kLogitLimit + x]);
      power = power * step >> 32;
    }
    // The least logit from 0 on whose probability is p or more; the other half by symmetry.
    int x = 0;
    for (int p = kOne / 2; p < kOne; p++) {
      while (x < kLogitLimit && squash[kLogitLimit + x] < p) x++;
      stretch[p] = (int16_t)x;
      stretch[kOne - p] = (int16_t)-x;
    }
    stretch[0] = stretch[1];
  }
};

inline const LogisticTables kLogistic;

inline int clamp_logit(int64_t x) { return (int)(x > kLogitLimit ? kLogitLimit : x < -kLogitLimit ? -kLogitLimit : x); }
// The probability of a logit within +-kLogitLimit.
inline int squash(int x) { return kLogistic.squash[x + kLogitLimit]; }
inline int stretch(int p) { return kLogistic.stretch[p]; }

}  // namespace charloom
