// Softmax and cross-entropy of one row of logits.
#pragma once
#include <cmath>

#include "matmul.h"

namespace {

constexpr float kNever = -1e30f;  // a logit of what is not in the vocabulary: the padding

// logits: panels of kPanel, panel_stride apart. Returns the nats of the target, and in d_logits (panels side by side)
// scale times the gradient: softmax minus one at the target.
template <class Number>
static float cross_entropy_row(float *logits, long panels, long panel_stride, long target, float scale,
                               Number *d_logits) {
  Vector largest = fill(kNever), sum{};
  for (long p = 0; p < panels; p++)
    for (long j = 0; j < kPanel; j += kLanes) {
      const Vector z = load(logits + p * panel_stride + j);
      largest = largest < z ? z : largest;
    }
  const float shift = largest_lane(largest);
  const float at_target = logits[target / kPanel * panel_stride + target % kPanel];
  for (long p = 0; p < panels; p++)
    for (long j = 0; j < kPanel; j += kLanes) {
      float *z = logits + p * panel_stride + j;
      const Vector e = exp(load(z) - shift);
      store(z, e);
      sum += e;
    }
  const float total = sum_of_lanes(sum);
  logits[target / kPanel * panel_stride + target % kPanel] -= total;
  for (long p = 0; p < panels; p++)
    for (long j = 0; j < kPanel; j += kLanes)
      store(d_logits + p * kPanel + j, load(logits + p * panel_stride + j) * (scale / total));
  return logf(total) + shift - at_target;
}

}  // namespace
