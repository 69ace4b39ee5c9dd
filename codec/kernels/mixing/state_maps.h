// Adaptive probabilities, as in PAQ: StateMaps and APMs; and stretch and squash, which convert between probabilities
// and logits.
//
// A probability has 16 bits, 1 to 65535. A logit is ln(p / (1 - p)) in steps of 1/256, within +-kLogitLimit. Both
// tables are made by integer multiplication and division alone, so that they are equal on every machine.
#pragma once
#include <cstdint>

namespace charloom {

constexpr int kLogitLimit = 2815;  // 11 nats: a probability of about 1/65536
constexpr int kOne = 1 << 16;      // the probability 1.0

struct LogisticTables {
  uint16_t squash[2 * kLogitLimit + 1];  // squash[x + kLogitLimit]
  int16_t stretch[kOne];

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
      stretch[p] = (int16_t)x;
      stretch[kOne - p] = (int16_t)-x;
    }
    stretch[0] = stretch[1];
  }
};

inline const LogisticTables kLogistic;

inline int clamp_logit(int64_t x) { return (int)(x > kLogitLimit ? kLogitLimit : x < -kLogitLimit ? -kLogitLimit : x); }
// squash: the probability of a logit within +-kLogitLimit. stretch: its inverse.
inline int squash(int x) { return kLogistic.squash[x + kLogitLimit]; }
inline int stretch(int p) { return kLogistic.stretch[p]; }

// The adaptation rate of a probability that has seen n bits: 1 / (n + 1.5) with 16 fraction bits, as in lpaq.
struct Rates {
  uint16_t of[1024];
  Rates() {
    for (int n = 0; n < 1024; n++) of[n] = (uint16_t)((2 * kOne) / (2 * n + 3));
  }
};
inline const Rates kRates;

// A probability that a bit is 1, with 22 bits, and the number of bits that it has seen, at most 1023.
struct StateMap {
  uint32_t bits;  // probability << 10 | count

  static StateMap make(int p, int count) { return {(uint32_t)p << 16 | (uint32_t)count}; }
  int p() const { return (int)(bits >> 16); }
  void update(int bit) {
    const int count = (int)(bits & 1023);
    int64_t p = bits >> 10;
    p += ((((int64_t)bit << 22) - p) * kRates.of[count]) >> 16;
    // The limits keep the 16-bit probability away from 0 and 1.
    p = p<64 ? 64 : p>(1 << 22) - 64 ? (1 << 22) - 64 : p;
    bits = (uint32_t)p << 10 | (uint32_t)(count < 1023 ? count + 1 : count);
  }
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
  static void update(uint16_t *point, int bit) {
    const int p = *point + (((bit << 16) - bit - *point) >> 6);
    *point = (uint16_t)(p < 16 ? 16 : p > kOne - 17 ? kOne - 17 : p);
  }

 private:
  uint16_t *nearer_ = nullptr;
};

}  // namespace charloom
