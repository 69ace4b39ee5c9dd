// The learning rate of the mixer's weights.
#pragma once
#include "mixing/memory.h"
#include "mixing/rules.h"

namespace charloom {

// Decays with the number of bytes. It rises again when the network predicts for the first time, because its weights are
// new.
class LearningRate {
 public:
  explicit LearningRate(const MixingRules &rules) : rules_(rules) {}

  int value() const { return value_; }
  void start_byte(Memory &memory, bool network_predicts) {
    Memory::Counters &c = memory.counters();
    if (network_predicts && !c.bytes_with_network) memory.initialize_network_weights();
    memory.save(&c.bytes_read);
    memory.save(&c.bytes_with_network);
    value_ = decayed(c.bytes_read++, rules_.first_rate, 20000);
    if (!network_predicts) return;
    const int after_network = decayed(c.bytes_with_network++, rules_.network_rate, 2000);
    if (value_ < after_network) value_ = after_network;
  }

 private:
  static constexpr uint32_t kMaxCountedBytes = 1 << 30;

  // After half_way bytes, half of the decay has happened.
  int decayed(uint32_t bytes, int first, int half_way) const {
    const int n = bytes < kMaxCountedBytes ? (int)bytes : (int)kMaxCountedBytes;
    return rules_.last_rate + (first - rules_.last_rate) * half_way / (half_way + n);
  }

  const MixingRules &rules_;
  int value_ = 0;
};

}  // namespace charloom
