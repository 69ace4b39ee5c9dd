// From logits to a choice, as charloom/inference/sampling.py does it. Compiled once, not for each instruction set:
// kernels that compute the same logits choose the same tokens.
#pragma once

namespace charloom {

struct Sampling {
  bool greedy;
  double exponent;  // probabilities are raised to it
  long top_k;       // 0: no limit
  double top_p;     // 1: no limit
  long forbidden;   // a token that is never chosen, or -1
};

// One of `count` tokens, by inverting the cumulative distribution at `draw` in [0, 1). scratch: 2 * count numbers.
long choose_token(const float *logits, long count, const Sampling &sampling, double draw, double *scratch);

}  // namespace charloom
