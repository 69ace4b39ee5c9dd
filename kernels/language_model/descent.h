// The steps after the gradients: clipping to a global norm, and plain gradient descent. Other optimizers are PyTorch's.
#pragma once
#include <cmath>

#include "kernels.h"
#include "runtime/arena.h"
#include "runtime/threads.h"

namespace {

using charloom::DescentCall;

// Values that are summed in float32 before they are added to a float64 sum. Blocks are added in a fixed order, so the
// norm does not depend on the number of threads.
constexpr long kDescentBlock = 4096;

static double sum_of_squares(const float *x, long size) {
  Vector sum[2] = {};
  long i = 0;
  for (; i + kPanel <= size; i += kPanel)
    for (long v = 0; v < 2; v++) sum[v] += load(x + i + v * kLanes) * load(x + i + v * kLanes);
  double total = reduce_add(sum[0] + sum[1]);
  for (; i < size; i++) total += (double)x[i] * x[i];
  return total;
}

// Calls work(block, array, first, size) for this thread's part of the blocks of all arrays.
template <class Work>
static void for_each_block(const DescentCall &call, int id, int threads, Work work) {
  long blocks = 0, block = 0;
  for (long a = 0; a < call.count; a++) blocks += (call.sizes[a] + kDescentBlock - 1) / kDescentBlock;
  const Range my_range = partition(blocks, 1, id, threads);
  for (long a = 0; a < call.count; a++)
    for (long first = 0; first < call.sizes[a]; first += kDescentBlock, block++)
      if (block >= my_range.begin && block < my_range.end)
        work(block, a, first, min(kDescentBlock, call.sizes[a] - first));
}

// A norm that is not finite leaves NaN in the gradients, as torch.nn.utils.clip_grad_norm_ does.
static size_t run_descent(const DescentCall &call, void *workspace) {
  Arena arena(workspace);
  long blocks = 0;
  for (long a = 0; a < call.count; a++) blocks += (call.sizes[a] + kDescentBlock - 1) / kDescentBlock;
  double *squares = arena.allocate<double>(blocks);
  if (!workspace) return arena.used();

  run_parallel(call.threads, call.off_cpu_seconds, [&](int id, int threads) {
    float scale = 1;
    if (call.max_norm < INFINITY) {
      for_each_block(call, id, threads, [&](long block, long a, long first, long size) {
        squares[block] = sum_of_squares(call.gradients[a] + first, size);
      });
      barrier(threads);
      double total = 0;
      for (long block = 0; block < blocks; block++) total += squares[block];
      // 1e-6 as in torch.nn.utils.clip_grad_norm_.
      scale = (float)(call.max_norm / (sqrt(total) + 1e-6));
    }
    // Negated so that a NaN clips.
    const bool clips = !(scale >= 1);
    if (!clips && !call.values) return;
    const float learning_rate = (float)call.learning_rate;
    for_each_block(call, id, threads, [&](long, long a, long first, long size) {
      float *gradient = call.gradients[a] + first, *value = call.values ? call.values[a] + first : nullptr;
      for (long i = 0; clips && i < size; i++) gradient[i] *= scale;
      for (long i = 0; value && i < size; i++) value[i] -= learning_rate * gradient[i];
    });
  });
  return arena.used();
}

}  // namespace
