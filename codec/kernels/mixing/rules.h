// Constants that differ between the versions of the mixing engine. Earlier ones are for decoding only.
#pragma once

namespace charloom {

struct MixingRules {
  bool has_balanced_trees;  // see ByteTrees
  // Learning rates of the mixer: of the first byte, of the first one with the network, and the limit, see train().
  int first_rate, network_rate, last_rate;
  int apm_rate;  // of 256, see APM
  // A prediction below this, of 2^16, or as close to 1, is certain. It is not corrected, and if it was right, the
  // mixer does not learn from it. 0: none is.
  int certain;
};

inline const MixingRules &rules_of(int version) {
  static constexpr MixingRules eight_bits = {false, 655, 328, 100, 4, 0}, balanced = {true, 1146, 574, 175, 6, 512};
  return version < 3 ? eight_bits : balanced;
}

}  // namespace charloom
