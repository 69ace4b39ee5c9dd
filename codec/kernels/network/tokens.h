// The bytes of the tokens as a binary tree of bits.
//
// Tokens are byte strings, none of which is a prefix of another (as in UTF-8), sorted by their bytes. Those that agree
// with the known bits of the next token are then a range, which each bit splits in two: the probability of a bit is a
// difference of cumulative frequencies.
#pragma once
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace charloom {

class Tokens {
 public:
  static constexpr int kNone = -1;
  struct Node {
    int first, middle, last;  // the range of tokens; from `middle` on, the next bit is 1
    int next[2];              // the node after each bit; kNone if no token has it
    int depth;                // known bits
    int token;                // at the end of a token its id, otherwise kNone
  };

  // Token i is bytes[offsets[i]] up to bytes[offsets[i + 1]]. An empty token stands for no bytes and is not in the
  // tree.
  Tokens(const uint8_t *bytes, const int32_t *offsets, int count)
      : bytes_(bytes, bytes + offsets[count]), offsets_(offsets, offsets + count + 1) {
    for (int i = 0; i < count; i++)
      if (offsets[i] < offsets[i + 1]) order_.push_back(i);
    std::sort(order_.begin(), order_.end(), [&](int a, int b) {
      return std::lexicographical_compare(bytes + offsets[a], bytes + offsets[a + 1], bytes + offsets[b],
                                          bytes + offsets[b + 1]);
    });
    if (order_.empty()) throw std::invalid_argument("no token has bytes");
    add_node(0, (int)order_.size(), 0);
    for (int byte = 0; byte < 256; byte++) after_first_[byte] = walk(0, byte);
  }

  int count() const { return (int)order_.size(); }
  const int *ids() const { return order_.data(); }  // sorted by bytes
  int byte(int place, int depth) const { return bytes_[offsets_[order_[place]] + depth / 8]; }
  int first_byte(int place) const { return byte(place, 0); }
  const Node &node(int at) const { return nodes_[at]; }
  // Returns the node after a whole byte. The steps from the root are in a table, because most bytes start a token.
  int after(int at, int byte) const { return at ? walk(at, byte) : after_first_[byte]; }

 private:
  int add_node(int first, int last, int depth) {
    const int at = (int)nodes_.size();
    nodes_.push_back({first, last, last, {kNone, kNone}, depth, kNone});
    const int id = order_[first];
    if (depth == 8 * (offsets_[id + 1] - offsets_[id])) {
      nodes_[at].token = id;
      return at;
    }
    int middle = first;
    while (middle < last && !bit(order_[middle], depth)) middle++;
    nodes_[at].middle = middle;
    const int limits[] = {first, middle, last};
    for (int bit = 0; bit < 2; bit++) {
      if (limits[bit] == limits[bit + 1]) continue;
      // Not assigned in one statement: the call may move the nodes.
      const int next = add_node(limits[bit], limits[bit + 1], depth + 1);
      nodes_[at].next[bit] = next;
    }
    return at;
  }
  int walk(int at, int byte) const {
    for (int i = 7; i >= 0 && at != kNone; i--) at = nodes_[at].next[byte >> i & 1];
    return at;
  }
  int bit(int id, int depth) const { return bytes_[offsets_[id] + depth / 8] >> (7 - depth % 8) & 1; }

  std::vector<uint8_t> bytes_;
  std::vector<int32_t> offsets_;
  std::vector<int> order_;
  std::vector<Node> nodes_;
  int after_first_[256];
};

}  // namespace charloom
