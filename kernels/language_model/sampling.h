// The choice of a token from logits, as charloom/inference/sampling.py makes it. Compiled once rather than for each
// instruction set: kernels that compute the same logits choose the same tokens.
#pragma once

namespace charloom {

struct Sampling {
  bool greedy;
  double exponent;  // probabilities are raised to this power, the inverse of the temperature
  long top_k;       // 0: no limit
  double top_p;     // 1: no limit
  long forbidden;   // a token that is never sampled, or -1
};

// Returns one of `count` tokens by inverting the cumulative distribution at `draw` in [0, 1). scratch: 2 * count
// numbers.
long sample_token(const float *logits, long count, const Sampling &sampling, double draw, double *scratch);

}  // namespace charloom
