// The bytes of the tokens as a tree of bytes.
//
// Tokens are byte strings, none of which is a prefix of another (as in UTF-8), sorted by their bytes. Those that agree
// with the known bytes of the next token, and with a range of the next byte, are then a range: its probability is a
// difference of cumulative frequencies.
#pragma once
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace charloom {

class Tokens {
 public:
  static constexpr int kNone = -1, kRoot = 0;

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
  }

  int count() const { return (int)order_.size(); }
  const int *ids() const { return order_.data(); }  // sorted by bytes
  int first_byte(int place) const { return byte(place, 0); }
  // Returns the place of the first token that agrees with the known bytes of a node, and whose next byte is at least
  // `byte`, 0 to 256; that of the next token, if there is none.
  int place(int node, int byte) const { return nodes_[node].places[byte]; }
  // Returns the next byte of the token at a place below a node.
  int byte_after(int node, int place) const { return byte(place, nodes_[node].depth); }

  struct Step {
    int node, token;  // the node after the byte, and the id of the token that it completes; or kNone
  };
  Step after(int node, int byte) const { return nodes_[node].after[byte]; }

 private:
  struct Node {
    int depth;  // known bytes
    int places[257];
    Step after[256];
  };

  int add_node(int first, int last, int depth) {
    const int at = (int)nodes_.size();
    nodes_.push_back({});
    nodes_[at].depth = depth;
    int place = first;
    for (int next = 0; next < 256; next++) {
      const int start = place;
      while (place < last && byte(place, depth) == next) place++;
      Step step = {kNone, kNone};
      if (start < place) {
        const int id = order_[start];
        if (offsets_[id + 1] - offsets_[id] == depth + 1)
          step = {kRoot, id};
        else
          step.node = add_node(start, place, depth + 1);  // which may move the nodes
      }
      nodes_[at].places[next] = start;
      nodes_[at].after[next] = step;
    }
    nodes_[at].places[256] = last;
    return at;
  }
  int byte(int place, int depth) const { return bytes_[offsets_[order_[place]] + depth]; }

  std::vector<uint8_t> bytes_;
  std::vector<int32_t> offsets_;
  std::vector<int> order_;
  std::vector<Node> nodes_;
};

}  // namespace charloom
