#include "thread_choice.h"

#include <algorithm>
#include <chrono>

namespace charloom {
namespace {

constexpr double kWorkOfAThread = 4e6;   // some 30 microseconds: less is not worth a meeting
constexpr double kLostShare = 0.2;       // of a call's time: more, and the machine is busy
constexpr double kLostSeconds = 1e-4;    // less says nothing
constexpr double kShortestPause = 0.05;  // alone for so long, and twice as long each time the machine is still busy
constexpr double kLongestPause = 1.0;
constexpr double kPauseInCalls = 20;  // a try costs a call; tries stay a small part of the time

}  // namespace

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

int ThreadChoice::threads(int limit, bool fixed, double work) {
  if (fixed || limit <= 1) return std::max(limit, 1);
  const int useful = static_cast<int>(std::min<double>(limit, work / kWorkOfAThread));
  if (useful <= 1) return 1;
  std::lock_guard<std::mutex> lock(mutex_);
  return now() < alone_until_ ? 1 : useful;
}

void ThreadChoice::finished(int threads, double seconds, double lost) {
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

}  // namespace charloom
