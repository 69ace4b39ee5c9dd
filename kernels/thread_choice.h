// How many threads a call takes: fewer for little work, and one while other programs keep the processors busy.
//
// With both cores of a machine busy, a call on two threads waits at every meeting for the one that does not run, and
// ends later than one thread would alone. What gives that away is measured in the call itself: time that passed on the
// clock but not for a thread. Results do not depend on the choice.
#pragma once
#include <mutex>

namespace charloom {

class ThreadChoice {
 public:
  // limit: at most so many. fixed: exactly so many, whatever the machine does. work: multiplications and additions.
  int threads(int limit, bool fixed, double work);
  // After a call: seconds on the clock, and the most that one of its threads did not run.
  void finished(int threads, double seconds, double lost);

 private:
  std::mutex mutex_;
  double alone_until_ = 0;  // on the clock
  double pause_ = 0;        // the last period alone
};

double now();  // seconds on a clock that only goes forward

}  // namespace charloom
