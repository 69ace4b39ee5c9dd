#include "language_model/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace charloom {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

// Sets the weights of the tokens outside top_k and top_p to zero. The sort is stable, so that among equal scores the
// lower token comes first, as in Python.
void filter_top_k_top_p(double *weights, const double *scores, long count, const Sampling &sampling) {
  std::vector<long> order(count);
  for (long v = 0; v < count; v++) order[v] = v;
  std::stable_sort(order.begin(), order.end(), [&](long a, long b) { return scores[a] > scores[b]; });
  long kept = sampling.top_k > 0 ? std::min(sampling.top_k, count) : count;
  double total = 0, before = 0;
  for (long i = 0; i < kept; i++) total += weights[order[i]];
  for (long i = 0; i < kept; i++) {
    if (before >= sampling.top_p) {
      kept = i;
      break;
    }
    before += weights[order[i]] / total;
  }
  for (long i = kept; i < count; i++) weights[order[i]] = 0;
}

}  // namespace

long sample_token(const float *logits, long count, const Sampling &sampling, double draw, double *scratch) {
  long best = -1;
  for (long v = 0; v < count; v++)
    if (v != sampling.forbidden && (best < 0 || logits[v] > logits[best])) best = v;
  if (sampling.greedy) return best;
  double *scores = scratch, *weights = scratch + count;
  // The largest logit is subtracted before the multiplication, so that no exponent overflows.
  const double largest = logits[best];
  for (long v = 0; v < count; v++) {
    const bool possible = v != sampling.forbidden && std::isfinite(logits[v]);
    scores[v] = possible ? (logits[v] - largest) * sampling.exponent : kMinusInfinity;
    weights[v] = possible ? std::exp(scores[v]) : 0;
  }
  if (sampling.top_k > 0 || sampling.top_p < 1) filter_top_k_top_p(weights, scores, count, sampling);
  double total = 0;
  for (long v = 0; v < count; v++) total += weights[v];
  const double target = draw * total;
  double below = 0;
  long chosen = best;
  for (long v = 0; v < count; v++) {
    if (weights[v] == 0) continue;
    // Rounding can leave the target at the very end; then the last token with a weight is the right one.
    chosen = v;
    below += weights[v];
    if (target < below) break;
  }
  return chosen;
}

}  // namespace charloom
