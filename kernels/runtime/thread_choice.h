// How many threads a call takes: fewer for little work, and one while other programs keep the processors busy.
//
// With both cores of a machine busy, a call on two threads waits at every meeting for the one that does not run, and
// ends later than one thread would alone. What gives that away is measured in the call itself: time that passed on the
// clock but not for a thread. Results do not depend on the choice.
#pragma once
#include <algorithm>
#include <chrono>
#include <mutex>

namespace charloom {

// Seconds on a clock that only goes forward.
inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class ThreadChoice {
 public:
  // limit: at most so many. fixed: exactly so many, whatever the machine does. work: multiplications and additions.
  int threads(int limit, bool fixed, double work) {
    if (fixed || limit <= 1) return std::max(limit, 1);
    const int useful = static_cast<int>(std::min<double>(limit, work / kWorkOfAThread));
    if (useful <= 1) return 1;
    std::lock_guard<std::mutex> lock(mutex_);
    return now() < alone_until_ ? 1 : useful;
  }

  // After a call: seconds on the clock, and the most that one of its threads did not run.
  void finished(int threads, double seconds, double lost) {
    if (threads <= 1) return;
    std::lock_guard<std::mutex> lock(mutex_);
    if (lost < kLostSeconds || lost < kLostShare * seconds) {
      if (now() - alone_until_ > pause_) pause_ = 0;
      return;
    }
    // One interruption alone is soon over; at the next try the machine is busy.
    pause_ = pause_ == 0 ? kShortestPause : std::min(kLongestPause, std::max(2 * pause_, kPauseInCalls * seconds));
    alone_until_ = now() + pause_;
  }

 private:
  static constexpr double kWorkOfAThread = 4e6;   // some 30 microseconds: less is not worth a meeting
  static constexpr double kLostShare = 0.2;       // of a call's time: more, and the machine is busy
  static constexpr double kLostSeconds = 1e-4;    // less says nothing
  static constexpr double kShortestPause = 0.05;  // alone for so long, and twice as long each time it is still busy
  static constexpr double kLongestPause = 1.0;
  static constexpr double kPauseInCalls = 20;  // a try costs a call; tries stay a small part of the time

  std::mutex mutex_;
  double alone_until_ = 0;  // on the clock
  double pause_ = 0;        // the last period alone
};

}  // namespace charloom
