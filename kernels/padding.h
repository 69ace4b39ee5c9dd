// Units between the hidden size and the padded one: rows with and without them, and sums that stay zero there.
#pragma once
#include "kernels.h"
#include "packing.h"
#include "threads.h"

namespace {

using charloom::padded;

// The state (batch, hidden) that some rows begin with, padded: in float32, and as products read it.
template <class Number>
static void begin_state(const float *from, long hidden, Range rows, float *to, Number *rounded) {
  const long width = padded(hidden);
  for (long b = rows.begin; b < rows.end; b++)
    for (long j = 0; j < width; j++) {
      to[b * width + j] = j < hidden ? from[b * hidden + j] : 0.f;
      set(rounded + b * width + j, to[b * width + j]);
    }
}

// Rows (batch, hidden) with zeros behind each, (batch, width).
static void pad_rows(const float *from, long hidden, Range rows, float *to, long width) {
  for (long b = rows.begin; b < rows.end; b++) {
    memcpy(to + b * width, from + b * hidden, hidden * sizeof(float));
    memset(to + b * width + hidden, 0, (width - hidden) * sizeof(float));
  }
}

// The rows of a state without their padding, (batch, hidden); null: nothing.
static void copy_state_out(const float *from, long width, Range rows, float *to, long hidden) {
  if (!to) return;
  for (long b = rows.begin; b < rows.end; b++) memcpy(to + b * hidden, from + b * width, hidden * sizeof(float));
}

// Zeroes the padding's units in sums of `count` products or panels, `units` before the end of the hidden size. An
// infinite input times the padding's zero weights is NaN, which the next step would spread to every unit.
CHARLOOM_INLINE void clear_padding(float *sums, long rows, long block, long count, long panel_step, long units) {
  for (long i = 0; i < count; i++) {
    const long inside = larger(0, smaller(kPanel, units - i * panel_step));
    if (inside < kPanel)
      for (long r = 0; r < rows; r++)
        memset(sums + i * block + r * kPanel + inside, 0, (kPanel - inside) * sizeof(float));
  }
}

CHARLOOM_INLINE void store_inside(float *to, Vector v, long inside) {
  if (inside >= kLanes)
    store(to, v);
  else if (inside > 0)
    memcpy(to, &v, inside * sizeof(float));
}

}  // namespace
