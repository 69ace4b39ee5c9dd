// Gradient clipping: the global norm of some arrays, and all of them scaled down to a limit.
#pragma once
#include <cmath>

#include "threads.h"

namespace {

constexpr long kClipBlock = 4096;  // values summed in float32 before they go into a float64 sum: order is fixed

static double sum_of_squares(const float *x, long size) {
  Vector sum[2] = {};
  long i = 0;
  for (; i + kPanel <= size; i += kPanel)
    for (long v = 0; v < 2; v++) sum[v] += load(x + i + v * kLanes) * load(x + i + v * kLanes);
  double total = sum_of_lanes(sum[0] + sum[1]);
  for (; i < size; i++) total += (double)x[i] * x[i];
  return total;
}

// Returns the norm before. A norm that is not finite leaves NaN behind, as torch's clipping does.
static double clip(float *const *arrays, const long *sizes, long count, double limit) {
  FlushDenormals flush;
  double total = 0;
  for (long a = 0; a < count; a++)
    for (long i = 0; i < sizes[a]; i += kClipBlock)
      total += sum_of_squares(arrays[a] + i, smaller(kClipBlock, sizes[a] - i));
  const double norm = sqrt(total);
  const float scale = (float)(limit / (norm + 1e-6));
  if (scale >= 1) return norm;
  for (long a = 0; a < count; a++)
    for (long i = 0; i < sizes[a]; i++) arrays[a][i] *= scale;
  return norm;
}

}  // namespace
