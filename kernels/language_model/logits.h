// The logits of a few hidden states, from weights as PyTorch lays them out: a step of a stream reads each weight once.
#pragma once
#include "kernels.h"
#include "products/unpacked.h"
#include "runtime/arena.h"
#include "runtime/threads.h"

namespace {

using charloom::LogitsCall;

static size_t run_logits(const LogitsCall &call, void *workspace) {
  Arena arena(workspace);
  const long scratch_each = kUnpackedRows * kPanel;
  float *scratch = arena.allocate<float>(scratch_each * call.threads);
  if (!workspace) return arena.used();
  run_parallel(call.threads, call.off_cpu_seconds, [&](int id, int threads) {
    const Range tokens = partition(call.vocabulary, kPanel, id, threads);
    const Result sums{scratch + id * scratch_each, kPanel, 0};
    for (long v = tokens.begin; v < tokens.end; v += kPanel)
      for (long r = 0; r < call.rows; r += kUnpackedRows) {
        const long rows = min(kUnpackedRows, call.rows - r), columns = min(kPanel, call.vocabulary - v);
        for (long i = 0; i < rows; i++) memcpy(sums.from(i, 0).data, call.bias + v, columns * sizeof(float));
        multiply_unpacked(rows, call.hidden, rows_of<float>(call.x + r * call.hidden, call.hidden, nullptr),
                          call.weights + v * call.hidden, columns, sums);
        for (long i = 0; i < rows; i++)
          memcpy(call.y + (r + i) * call.vocabulary + v, sums.from(i, 0).data, columns * sizeof(float));
      }
  });
  return arena.used();
}

}  // namespace
