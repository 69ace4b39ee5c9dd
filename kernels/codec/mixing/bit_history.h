// What a node of a context has seen, in one byte: about how many zeros and ones, and which came last.
//
// Counts are bounded: the more there is of one bit, the fewer of the other are kept. A bit that contradicts many
// forgets most of them, so that a state says what happened lately. States are numbered as they are reached from 0,
// "nothing".
#pragma once
#include <cstdint>

namespace charloom {

class BitHistories {
 public:
  BitHistories() {
    add(0, 0, 0);
    for (int s = 0; s < count_; s++)
      for (int bit = 0; bit < 2; bit++) next_[s][bit] = (uint8_t)after(states_[s], bit);
  }
  int count() const { return count_; }
  int next(int state, int bit) const { return next_[state][bit]; }
  int seen(int state) const { return zeros(state) + ones(state); }
  int zeros(int state) const { return states_[state].seen[0]; }
  int ones(int state) const { return states_[state].seen[1]; }

 private:
  struct State {
    int seen[2];
    int last;  // 0: one kind was seen only; else which bit came last, plus 1
  };

  static bool allowed(const int *seen) {
    constexpr int most[] = {41, 15, 9, 7, 6, 5};  // of the commoner bit, by how many there are of the other
    const int fewer = seen[0] < seen[1] ? seen[0] : seen[1], more = seen[0] + seen[1] - fewer;
    return fewer < 6 && more <= most[fewer];
  }

  int after(const State &state, int bit) {
    int seen[2] = {state.seen[0], state.seen[1]};
    seen[bit]++;
    int &other = seen[1 - bit];
    if (other > 2) other = other > 25 ? 6 : other > 12 ? 5 : other > 6 ? 4 : other > 3 ? 3 : 2;
    while (!allowed(seen)) seen[bit] > other || other <= 1 ? seen[bit]-- : other--;
    return add(seen[0], seen[1], seen[0] && seen[1] ? bit + 1 : 0);
  }

  int add(int zeros, int ones, int last) {
    for (int s = 0; s < count_; s++)
      if (states_[s].seen[0] == zeros && states_[s].seen[1] == ones && states_[s].last == last) return s;
    states_[count_] = {{zeros, ones}, last};
    return count_++;
  }

  State states_[256];
  uint8_t next_[256][2];
  int count_ = 0;
};

inline const BitHistories kBitHistories;

}  // namespace charloom
