// The number of threads of a call: fewer for little work, and one while other programs keep the processors busy.
// threads.h runs the call on them.
//
// If all cores are busy, a call on two threads waits at each barrier for the thread that is not scheduled, and ends
// later than one thread would alone. The call itself measures this: time that passed on the clock while a thread was
// off the CPU. Results do not depend on the choice.
#pragma once
#include <algorithm>
#include <chrono>
#include <mutex>

namespace charloom {

// Seconds on a monotonic clock.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class ThreadChoice {
 public:
  // Returns the number of threads for a call.
  //
  // limit: the largest number. fixed: exactly `limit` threads, whatever the load. work: multiplications and additions.
  int threads(int limit, bool fixed, double work) {
    if (fixed || limit <= 1) return std::max(limit, 1);
    const int useful = static_cast<int>(std::min<double>(limit, work / kMinWorkPerThread));
    if (useful <= 1) return 1;
    std::lock_guard<std::mutex> lock(mutex_);
    return now() < single_thread_until_ ? 1 : useful;
  }

  // Records a call: its seconds on the clock, and the most seconds that one of its threads was off the CPU.
  void record(int threads, double seconds, double off_cpu_seconds) {
    if (threads <= 1) return;
    std::lock_guard<std::mutex> lock(mutex_);
    if (off_cpu_seconds < kMinOffCpuSeconds || off_cpu_seconds < kMinOffCpuFraction * seconds) {
      // Undisturbed for longer than the last backoff: the next disturbance starts from the shortest again.
      if (now() - single_thread_until_ > backoff_) backoff_ = 0;
      return;
    }
    // Exponential backoff. The first interruption may be a single one; if the next attempt is interrupted too, the
    // machine is busy.
    backoff_ = backoff_ == 0 ? kMinBackoff : std::min(kMaxBackoff, std::max(2 * backoff_, kBackoffInCalls * seconds));
    single_thread_until_ = now() + backoff_;
  }

 private:
  static constexpr double kMinWorkPerThread = 4e6;   // about 30 microseconds: less is not worth a barrier
  static constexpr double kMinOffCpuFraction = 0.2;  // of the duration of a call; above it the machine counts as busy
  static constexpr double kMinOffCpuSeconds = 1e-4;  // below it the measurement is noise
  static constexpr double kMinBackoff = 0.05;        // seconds on one thread; doubled while the machine stays busy
  static constexpr double kMaxBackoff = 1.0;
  static constexpr double kBackoffInCalls = 20;  // an attempt costs a call, so attempts stay a small part of the time

  std::mutex mutex_;
  double single_thread_until_ = 0;  // time of now()
  double backoff_ = 0;              // the last backoff, in seconds
};

}  // namespace charloom
