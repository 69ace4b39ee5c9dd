// What follows the gradients of a step: clipping to a global norm, and plain gradient descent.
#pragma once
#include <cmath>

#include "kernels.h"
#include "runtime/arena.h"
#include "runtime/threads.h"

namespace {

using charloom::DescentCall;

constexpr long kDescentBlock = 4096;  // values summed in float32 before they go into a float64 sum: order is fixed

static double sum_of_squares(const float *x, long size) {
  Vector sum[2] = {};
  long i = 0;
  for (; i + kPanel <= size; i += kPanel)
    for (long v = 0; v < 2; v++) sum[v] += load(x + i + v * kLanes) * load(x + i + v * kLanes);
  double total = sum_of_lanes(sum[0] + sum[1]);
  for (; i < size; i++) total += (double)x[i] * x[i];
  return total;
}

// work(block, array, first, size) for this thread's share of all arrays' blocks.
template <class Work>
static void for_blocks(const DescentCall &call, int id, int threads, Work work) {
  long blocks = 0, block = 0;
  for (long a = 0; a < call.count; a++) blocks += (call.sizes[a] + kDescentBlock - 1) / kDescentBlock;
  const Range mine = share(blocks, 1, id, threads);
  for (long a = 0; a < call.count; a++)
    for (long first = 0; first < call.sizes[a]; first += kDescentBlock, block++)
      if (block >= mine.begin && block < mine.end) work(block, a, first, smaller(kDescentBlock, call.sizes[a] - first));
}

// A norm that is not finite leaves NaN behind, as torch's clipping does.
static size_t run_descent(const DescentCall &call, void *workspace) {
  Arena arena(workspace);
  long blocks = 0;
  for (long a = 0; a < call.count; a++) blocks += (call.sizes[a] + kDescentBlock - 1) / kDescentBlock;
  double *squares = arena.take<double>(blocks);
  if (!workspace) return arena.used();

  in_parallel(call.threads, call.lost, [&](int id, int threads) {
    float scale = 1;
    if (call.limit < INFINITY) {
      for_blocks(call, id, threads, [&](long block, long a, long first, long size) {
        squares[block] = sum_of_squares(call.gradients[a] + first, size);
      });
      barrier(threads);
      double total = 0;
      for (long block = 0; block < blocks; block++) total += squares[block];
      scale = (float)(call.limit / (sqrt(total) + 1e-6));
    }
    const bool clips = !(scale >= 1);
    if (!clips && !call.values) return;
    const float rate = (float)call.rate;
    for_blocks(call, id, threads, [&](long, long a, long first, long size) {
      float *gradient = call.gradients[a] + first, *value = call.values ? call.values[a] + first : nullptr;
      for (long i = 0; clips && i < size; i++) gradient[i] *= scale;
      for (long i = 0; value && i < size; i++) value[i] -= rate * gradient[i];
    });
  });
  return arena.used();
}

}  // namespace
