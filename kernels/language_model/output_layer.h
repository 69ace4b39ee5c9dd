// The output layer: hidden states to logits, in panels of kPanel; and the softmax cross-entropy of one row of logits.
#pragma once
#include <cmath>

#include "kernels.h"
#include "products/packing.h"
#include "runtime/arena.h"
#include "runtime/threads.h"

namespace {

// The logit of the padding behind the vocabulary, whose probability thus becomes 0.
constexpr float kPaddingLogit = -1e30f;

template <class Number>
struct OutputLayer {
  long vocabulary, hidden, logits, width;  // logits, width: padded vocabulary and hidden size
  Number *weights;
  float *bias;

  void pack(const float *from, const float *from_bias, Range my_range) const {
    for (long v = my_range.begin; v < my_range.end; v += kPanel) {
      pack_columns(weights + v / kPanel * panel_size<Number>(width), from + v * hidden, hidden, hidden, width,
                   vocabulary - v);
      for (long j = v; j < v + kPanel; j++) bias[j] = j < vocabulary ? from_bias[j] : kPaddingLogit;
    }
  }

  // Distance of two panels of the logits of n rows.
  static long panel_stride(long n) { return round_up(n, kRowBlock<Number>) * kPanel; }

  // Writes row r of panel p of the logits to to + p * panel_stride(n) + r * kPanel.
  void compute_logits(Left<Number> rows, long n, float *to) const {
    for (long v = 0; v < logits; v += kPanel)
      for (long r = 0; r < n; r++)
        memcpy(to + v / kPanel * panel_stride(n) + r * kPanel, bias + v, kPanel * sizeof(float));
    multiply(n, width, rows, weights, logits / kPanel, {to, kPanel, panel_stride(n)});
  }
};

template <class Number>
static OutputLayer<Number> allocate_output_layer(Arena &arena, long vocabulary, long hidden) {
  const long logits = charloom::padded(vocabulary), width = charloom::padded(hidden);
  return {vocabulary,
          hidden,
          logits,
          width,
          arena.allocate<Number>(logits / kPanel * panel_size<Number>(width)),
          arena.allocate<float>(logits)};
}

// Returns the cross-entropy of a row in nats, and writes to d_logits (panels side by side) `scale` times its gradient,
// which is softmax minus one at the target. logits: panels of kPanel, panel_stride apart; overwritten.
template <class Number>
static float cross_entropy_row(float *logits, long panels, long panel_stride, long target, float scale,
                               Number *d_logits) {
  Vector largest = fill(kPaddingLogit), sum{};
  for (long p = 0; p < panels; p++)
    for (long j = 0; j < kPanel; j += kLanes) {
      const Vector z = load(logits + p * panel_stride + j);
      largest = largest < z ? z : largest;
    }
  const float shift = reduce_max(largest);  // so that no exponential overflows
  const float at_target = logits[target / kPanel * panel_stride + target % kPanel];
  for (long p = 0; p < panels; p++)
    for (long j = 0; j < kPanel; j += kLanes) {
      float *z = logits + p * panel_stride + j;
      const Vector e = exp(load(z) - shift);
      store(z, e);
      sum += e;
    }
  const float total = reduce_add(sum);
  logits[target / kPanel * panel_stride + target % kPanel] -= total;
  for (long p = 0; p < panels; p++)
    for (long j = 0; j < kPanel; j += kLanes)
      store(d_logits + p * kPanel + j, load(logits + p * panel_stride + j) * (scale / total));
  return logf(total) + shift - at_target;
}

}  // namespace
