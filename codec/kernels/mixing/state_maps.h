// Adaptive probabilities, as in PAQ: StateMaps and APMs; and stretch and squash, which convert between probabilities
// and logits.
//
// A probability has 16 bits, 1 to 65535. A logit is ln(p / (1 - p)) in steps of 1/256, within +-kLogitLimit. Both
// tables are made by integer multiplication and division alone, so that they are equal on every machine.
#pragma once
#include <cstdint>

#include "codec_kernels.h"

namespace charloom {

constexpr int kOne = 1 << 16;  // the probability 1.0

struct LogisticTables {
  uint16_t squash[2 * kLogitLimit + 1];  // squash[x + kLogitLimit]
  // Of each probability p, the inputs of the mixer: stretch(p) and (p - kOne / 2) >> 6.
  struct Inputs {
    int16_t logit, difference;
  } inputs[kOne];

  LogisticTables() {
    constexpr uint64_t one = 1ull << 32, step = 4278222805;  // 1 and e^(-1/256), with 32 fraction bits
    uint64_t power = one;                                    // e^(-x/256)
    for (int x = 0; x <= kLogitLimit; x++) {
      const uint64_t p = ((one << 16) + (one + power) / 2) / (one + power);
      squash[kLogitLimit + x] = (uint16_t)(p < kOne - 1 ? p : kOne - 1);
      squash[kLogitLimit - x] = (uint16_t)(kOne - squash[kLogitLimit + x]);
      power = power * step >> 32;
    }
    // stretch is the smallest logit of 0 or more whose probability is at least p; the other half follows by symmetry.
    int x = 0;
    for (int p = kOne / 2; p < kOne; p++) {
      while (x < kLogitLimit && squash[kLogitLimit + x] < p) x++;
      inputs[p].logit = (int16_t)x;
      inputs[kOne - p].logit = (int16_t)-x;
    }
    inputs[0].logit = inputs[1].logit;
    for (int p = 0; p < kOne; p++) inputs[p].difference = (int16_t)((p - kOne / 2) >> 6);
  }
};

inline const LogisticTables kLogistic;

inline int clamp_logit(int64_t x) { return (int)(x > kLogitLimit ? kLogitLimit : x < -kLogitLimit ? -kLogitLimit : x); }
// squash: the probability of a logit within +-kLogitLimit. stretch: its inverse.
inline int squash(int x) { return kLogistic.squash[x + kLogitLimit]; }
inline int stretch(int p) { return kLogistic.inputs[p].logit; }

// A probability that a bit is 1, with 22 bits, and the number n of bits that it has seen, at most 1023. With each bit
// it moves towards 0 or 1, by 1 / (n + 1.5) of the distance as in lpaq, but no closer than 64 / 2^22; see adaptation.h.
struct StateMap {
  uint32_t bits;  // probability << 10 | count

  static StateMap make(int p, int count) { return {(uint32_t)p << 16 | (uint32_t)count}; }
};

// An adaptive probability map: refines a probability in a context by the bits that followed such probabilities,
// interpolated between 24 points along the logit.
class APM {
 public:
  static constexpr int kPoints = 24, kStep = 245;  // 11.5 steps to either side of logit 0

  static void initialize(uint16_t *points) {
    for (int j = 0; j < kPoints; j++) points[j] = (uint16_t)squash(clamp_logit((2 * j - kPoints + 1) * kStep / 2));
  }
  // Returns the refined probability in the context of `points`, and stores which point is nearer for update().
  int p(uint16_t *points, int logit) {
    const int at = (logit + kLogitLimit + 3) * 1024 / kStep;
    int low = at >> 10, weight = at & 1023;
    if (low > kPoints - 2) low = kPoints - 2, weight = 1023;
    nearer_ = points + low + (weight >> 9);
    return (points[low] * (1024 - weight) + points[low + 1] * weight) >> 10;
  }
  uint16_t *nearer() const { return nearer_; }
  // rate: of 256.
  static void update(uint16_t *point, int bit, int rate) {
    const int p = *point + (((bit << 16) - bit - *point) * rate >> 8);
    *point = (uint16_t)(p < 16 ? 16 : p > kOne - 17 ? kOne - 17 : p);
  }

 private:
  uint16_t *nearer_ = nullptr;
};

}  // namespace charloom
