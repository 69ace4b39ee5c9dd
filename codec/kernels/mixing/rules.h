// Constants that differ between the versions of the mixing engine. Earlier ones are for decoding only.
#pragma once
#include <stdexcept>

namespace charloom {

struct MixingRules {
  bool has_balanced_trees;  // see ByteTrees
  // Learning rates of the mixer: of the first byte, of the first one with the network, and the limit, see train().
  int first_rate, network_rate, last_rate;
  int apm_rate;  // of 256, see APM
  // A probability below this, of 2^16, or as close to 1, is certain: if that of the mean of all stages is, it is not
  // corrected; if that of the mixer is and was right, the mixer does not learn from it. 0: none is.
  int certain;
};

inline const MixingRules &rules_of(int version) {
  static constexpr MixingRules eight_bits = {false, 655, 328, 100, 4, 0}, balanced = {true, 1146, 574, 175, 6, 512};
  // A module that is older than the Python code must not code as another version.
  if (version < 1 || version > 3) throw std::invalid_argument("the mixing engine has no such version");
  return version < 3 ? eight_bits : balanced;
}

}  // namespace charloom
