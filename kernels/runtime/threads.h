// Parallel regions: how the threads of a call partition its work, and the state of the processor that they compute in.
// thread_choice.h decides how many threads a call has.
#pragma once
#ifdef _OPENMP
#include <omp.h>
#include <time.h>
#endif
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "products/matmul.h"

namespace {

constexpr int kMaxThreads = 256;

struct Range {
  long begin, end;
};

// Returns the part of n items that belongs to thread `id` of `threads`: contiguous parts in the order of the ids, as in
// OpenMP's static schedule. Each starts at a multiple of `block`.
CHARLOOM_INLINE Range partition(long n, long block, int id, int threads) {
  const long blocks = (n + block - 1) / block;
  return {min(n, blocks * id / threads * block), min(n, blocks * (id + 1) / threads * block)};
}

// Flushes denormal numbers to zero during its lifetime, then restores the caller's setting. Vanishing gradients would
// otherwise make the loops tens of times slower.
class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }  // flush to zero, denormals are zero
  ~FlushDenormals() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
#elif defined(__aarch64__)
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(saved_));
    asm volatile("msr fpcr, %0" : : "r"(saved_ | (1ul << 24)));  // FZ
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(saved_)); }

 private:
  unsigned long saved_;
#endif
};

#ifdef _OPENMP
// Measures the seconds since the start of a call during which this thread was not running, including the time before it
// was first scheduled.
class OffCpuTime {
 public:
  explicit OffCpuTime(double start_time) : start_time_(start_time) {}
  static double now() { return at(CLOCK_MONOTONIC); }
  double seconds() const { return (now() - start_time_) - (at(CLOCK_THREAD_CPUTIME_ID) - initial_cpu_time_); }

 private:
  static double at(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
  }

  double start_time_, initial_cpu_time_ = at(CLOCK_THREAD_CPUTIME_ID);
};
#endif

// Runs work(id, threads) on `threads` threads, which can synchronize with barrier(). off_cpu_seconds: out, the most
// seconds that one of them was not running.
template <class Work>
static void run_parallel([[maybe_unused]] int threads, double *off_cpu_seconds, Work work) {
  *off_cpu_seconds = 0;
#ifdef _OPENMP
  if (threads > 1) {
    double max_off_cpu = 0;
    const double start_time = OffCpuTime::now();
#pragma omp parallel num_threads(threads) reduction(max : max_off_cpu)
    {
      // The settings of the processor belong to a thread: each thread makes its own.
      const OffCpuTime time(start_time);
      FlushDenormals flush;
      TileConfig tiles;
      work(omp_get_thread_num(), omp_get_num_threads());
      max_off_cpu = time.seconds();
    }
    *off_cpu_seconds = max_off_cpu;
    return;
  }
#endif
  FlushDenormals flush;
  TileConfig tiles;
  work(0, 1);
}

// All threads of the region must reach it, also those without work.
CHARLOOM_INLINE void barrier([[maybe_unused]] int threads) {
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp barrier
  }
#endif
}

}  // namespace
