// How threads share out the work, and the state of the processor that they compute in.
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

// The part of n items, in blocks, that belongs to thread `id` of `threads`.
CHARLOOM_INLINE Range share(long n, long block, int id, int threads) {
  const long blocks = (n + block - 1) / block;
  return {smaller(n, blocks * id / threads * block), smaller(n, blocks * (id + 1) / threads * block)};
}

// Denormal numbers are taken as zero while this lives: a vanishing gradient would else make the loops tens of times
// slower. The caller's own setting comes back after.
class FlushDenormals {
 public:
#if defined(__SSE2__)
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#elif defined(__aarch64__)
  FlushDenormals() {
    asm volatile("mrs %0, fpcr" : "=r"(before_));
    asm volatile("msr fpcr, %0" : : "r"(before_ | (1ul << 24)));
  }
  ~FlushDenormals() { asm volatile("msr fpcr, %0" : : "r"(before_)); }

 private:
  unsigned long before_;
#endif
};

#ifdef _OPENMP
// Seconds since a call began, less those that this thread ran of them: also those before it came to run at all.
class LostTime {
 public:
  explicit LostTime(double began) : began_(began) {}
  static double now() { return at(CLOCK_MONOTONIC); }
  double seconds() const { return (now() - began_) - (at(CLOCK_THREAD_CPUTIME_ID) - ran_); }

 private:
  static double at(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
  }

  double began_, ran_ = at(CLOCK_THREAD_CPUTIME_ID);
};
#endif

// Runs work(id, threads) on so many threads; all of them meet at barrier(). lost: the most seconds one did not run.
template <class Work>
static void in_parallel([[maybe_unused]] int threads, double *lost, Work work) {
  *lost = 0;
#ifdef _OPENMP
  if (threads > 1) {
    double most = 0;
    const double began = LostTime::now();
#pragma omp parallel num_threads(threads) reduction(max : most)
    {
      const LostTime time(began);
      FlushDenormals flush;
      TileUnit tiles;
      work(omp_get_thread_num(), omp_get_num_threads());
      most = time.seconds();
    }
    *lost = most;
    return;
  }
#endif
  FlushDenormals flush;
  TileUnit tiles;
  work(0, 1);
}

CHARLOOM_INLINE void barrier([[maybe_unused]] int threads) {
#ifdef _OPENMP
  if (threads > 1) {
#pragma omp barrier
  }
#endif
}

}  // namespace
