// Probabilities and their logits, in integers; and probabilities that learn from the bits they predicted: StateMaps and
// APMs, as PAQ calls them.
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

// 1 / (n + 1.5) in 16 bits: how far a probability that has seen n bits goes towards the next.
struct Rates {
  uint16_t of[1024];
  Rates() {
    for (int n = 0; n < 1024; n++) of[n] = (uint16_t)((2 * kOne) / (2 * n + 3));
  }
};
inline const Rates kRates;

// A probability of 22 bits that a bit is 1, and how many bits it has seen, up to 1023.
struct StateMap {
  uint32_t bits;  // probability << 10 | count

  static StateMap of(int p, int count) { return {(uint32_t)p << 16 | (uint32_t)count}; }
  int p() const { return (int)(bits >> 16); }
  void learn(int bit) {
    const int count = (int)(bits & 1023);
    int64_t p = bits >> 10;
    p += ((((int64_t)bit << 22) - p) * kRates.of[count]) >> 16;
    p = p<64 ? 64 : p>(1 << 22) - 64 ? (1 << 22) - 64 : p;
    bits = (uint32_t)p << 10 | (uint32_t)(count < 1023 ? count + 1 : count);
  }
};

// Corrects a probability by what came of such probabilities in a context: between 24 points along the logit.
class APM {
 public:
  static constexpr int kPoints = 24, kStep = 245;  // logits from -11.5 to 11.5 steps

  static void start(uint16_t *points) {
    for (int j = 0; j < kPoints; j++) points[j] = (uint16_t)squash(clamp_logit((2 * j - kPoints + 1) * kStep / 2));
  }
  // Of the context whose points these are. Remembers which point was nearer.
  int p(uint16_t *points, int logit) {
    const int at = (logit + kLogitLimit + 3) * 1024 / kStep;
    int low = at >> 10, weight = at & 1023;
    if (low > kPoints - 2) low = kPoints - 2, weight = 1023;
    nearer_ = points + low + (weight >> 9);
    return (points[low] * (1024 - weight) + points[low + 1] * weight) >> 10;
  }
  uint16_t *nearer() const { return nearer_; }
  static void learn(uint16_t *point, int bit) {
    const int p = *point + (((bit << 16) - bit - *point) >> 6);
    *point = (uint16_t)(p < 16 ? 16 : p > kOne - 17 ? kOne - 17 : p);
  }

 private:
  uint16_t *nearer_ = nullptr;
};

}  // namespace charloom
