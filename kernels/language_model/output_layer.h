// The output layer: hidden states to logits, in panels of kPanel; and softmax with cross-entropy of one row of them.
#pragma once
#include <cmath>

#include "kernels.h"
#include "products/packing.h"
#include "runtime/arena.h"
#include "runtime/threads.h"

namespace {

constexpr float kNever = -1e30f;  // a logit of what is not in the vocabulary: the padding

template <class Number>
struct OutputLayer {
  long vocabulary, hidden, logits, width;  // logits, width: the vocabulary and the hidden size, padded
  Number *weights;
  float *bias;

  void pack(const float *from, const float *from_bias, Range mine) const {
    for (long v = mine.begin; v < mine.end; v += kPanel) {
      pack_columns(weights + v / kPanel * panel_size<Number>(width), from + v * hidden, hidden, hidden, width,
                   vocabulary - v);
      for (long j = v; j < v + kPanel; j++) bias[j] = j < vocabulary ? from_bias[j] : kNever;
    }
  }

  // Between the panels of the logits of n rows.
  static long panel_stride(long n) { return round_up(n, kRowBlock<Number>) * kPanel; }

  // to: row r of panel p at to + p * panel_stride(n) + r * kPanel.
  void score(const Number *rows, long n, float *to) const {
    for (long v = 0; v < logits; v += kPanel)
      for (long r = 0; r < n; r++)
        memcpy(to + v / kPanel * panel_stride(n) + r * kPanel, bias + v, kPanel * sizeof(float));
    multiply(n, width, rows_of(rows, width), weights, logits / kPanel, {to, kPanel, panel_stride(n)});
  }
};

template <class Number>
static OutputLayer<Number> take_output_layer(Arena &arena, long vocabulary, long hidden) {
  const long logits = charloom::padded(vocabulary), width = charloom::padded(hidden);
  return {vocabulary,
          hidden,
          logits,
          width,
          arena.take<Number>(logits / kPanel * panel_size<Number>(width)),
          arena.take<float>(logits)};
}

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
