// Bit histories, as in PAQ: the bits that a context has seen, in a byte. A state approximates the numbers of zeros and
// ones, and which bit came last; state_maps.h turns it into a probability.
//
// Counts are bounded: the larger one count, the smaller the other may be. A bit that contradicts many others discards
// most of them, so that a state describes recent bits. States are numbered in the order in which they are reached from
// state 0, which is "no bit seen".
#pragma once
#include <cstdint>

namespace charloom {

class BitHistoryTable {
 public:
  BitHistoryTable() {
    add(0, 0, 0);
    for (int s = 0; s < num_states_; s++)
      for (int bit = 0; bit < 2; bit++) next_[s][bit] = (uint8_t)next_state(states_[s], bit);
  }
  int num_states() const { return num_states_; }
  int next(int state, int bit) const { return next_[state][bit]; }
  int total(int state) const { return zeros(state) + ones(state); }
  int zeros(int state) const { return states_[state].counts[0]; }
  int ones(int state) const { return states_[state].counts[1]; }

 private:
  struct State {
    int counts[2];
    int last;  // 0: only one kind of bit was seen; otherwise the last bit plus 1
  };

  static bool is_allowed(const int *counts) {
    // Of the more frequent bit, indexed by the count of the other. The bounds keep the number of states within a byte.
    constexpr int max_counts[] = {41, 15, 9, 7, 6, 5};
    const int fewer = counts[0] < counts[1] ? counts[0] : counts[1], more = counts[0] + counts[1] - fewer;
    return fewer < 6 && more <= max_counts[fewer];
  }

  int next_state(const State &state, int bit) {
    int counts[2] = {state.counts[0], state.counts[1]};
    counts[bit]++;
    int &other = counts[1 - bit];
    // The opposite count is discounted so that the history adapts to a change.
    if (other > 2) other = other > 25 ? 6 : other > 12 ? 5 : other > 6 ? 4 : other > 3 ? 3 : 2;
    while (!is_allowed(counts)) counts[bit] > other || other <= 1 ? counts[bit]-- : other--;
    return add(counts[0], counts[1], counts[0] && counts[1] ? bit + 1 : 0);
  }

  int add(int zeros, int ones, int last) {
    for (int s = 0; s < num_states_; s++)
      if (states_[s].counts[0] == zeros && states_[s].counts[1] == ones && states_[s].last == last) return s;
    states_[num_states_] = {{zeros, ones}, last};
    return num_states_++;
  }

  State states_[256];
  uint8_t next_[256][2];
  int num_states_ = 0;
};

inline const BitHistoryTable kBitHistoryTable;

}  // namespace charloom
