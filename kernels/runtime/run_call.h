// Runs one function of the kernels: chooses its number of threads and provides its workspace.
#pragma once
#include <algorithm>
#include <cstdlib>

#include "kernels.h"
#include "runtime/thread_choice.h"
#include "runtime/workspace.h"

namespace charloom {

inline thread_local Workspace workspace;  // kept between calls to save the page faults of fresh memory

inline ThreadChoice thread_choice;  // shared by all calls, because it measures the load of the machine

// Runs a function of Kernels on the number of threads that suits its work. limit: the largest number; if negative,
// exactly -limit.
template <class Call>
void run_call(size_t (*function)(const Call &, void *), Call &call, long limit, double work) {
  double off_cpu_seconds = 0;
  call.threads = thread_choice.threads((int)std::min(std::labs(limit), 256l), limit < 0, work);
  call.off_cpu_seconds = &off_cpu_seconds;
  const double start_time = now();
  function(call, workspace.ensure_size(function(call, nullptr)));  // without memory, it returns the size that it needs
  thread_choice.record(call.threads, now() - start_time, off_cpu_seconds);
}

// Returns the multiplications and additions of a layer's forward pass.
inline double layer_operations(CellKind cell, double rows, double inputs, double hidden) {
  return 2 * rows * kCells[(int)cell].gates * hidden * (inputs + hidden);
}

}  // namespace charloom
