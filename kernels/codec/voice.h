// The network's prediction of a character, told bit by bit.
//
// Tokens are byte strings, none the beginning of another (UTF-8), in the order of their bytes: those that fit what is
// known of the next one are a range, and each bit cuts it in two. A byte that fits none is "lost": the network says
// nothing of its further bits, does not read it, and predicts anew.
#pragma once
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "network.h"

namespace charloom {

class Tokens {
 public:
  static constexpr int kNone = -1;
  struct Node {
    int first, middle, last;  // the range; from `middle` on the next bit is 1
    int next[2];              // the node after each bit; kNone where no token fits
    int depth;                // bits that are known
    int token;                // at the end of a token its id, else kNone
  };

  // Token i is bytes[offsets[i]] up to bytes[offsets[i + 1]]; an empty one stands for no bytes.
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
  const int *ids() const { return order_.data(); }  // in their order
  int byte(int place, int depth) const { return bytes_[offsets_[order_[place]] + depth / 8]; }
  int first_byte(int place) const { return byte(place, 0); }
  const Node &node(int at) const { return nodes_[at]; }
  // The node after a whole byte.
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
    if (middle > first) {
      const int next = add_node(first, middle, depth + 1);
      nodes_[at].next[0] = next;
    }
    if (middle < last) {
      const int next = add_node(middle, last, depth + 1);
      nodes_[at].next[1] = next;
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

class Voice {
 public:
  explicit Voice(const Tokens *tokens) : tokens_(tokens), sums_(tokens ? tokens->count() + 1 : 0) {}

  // Begins to speak, of the first token of a text. frequencies: of all tokens, 2^22 in sum.
  void begin(const uint32_t *frequencies) {
    at_ = 0;
    predict(frequencies);
  }
  void predict(const uint32_t *frequencies) {
    const int count = tokens_->count(), *ids = tokens_->ids();
    uint32_t *sums = sums_.data(), sum = 0, most = 0;
    int likeliest = likeliest_;
    for (int i = 0; i < count; i++) {
      const uint32_t f = frequencies[ids[i]];
      sums[i] = sum;
      sum += f;
      likeliest = most < f ? i : likeliest;
      most = most < f ? f : most;
    }
    sums[count] = sum;
    likeliest_ = likeliest;
    constexpr int percent[] = {20, 35, 50, 70, 85, 95, 99};
    confidence_ = 0;
    for (int limit : percent) confidence_ += (uint64_t)most * 100 >= (uint64_t)sum * limit;
    speaks_ = true;
  }

  bool speaks() const { return speaks_ && at_ != Tokens::kNone; }
  // How likely the likeliest token is, 0 to 7.
  int confidence() const { return confidence_; }
  // The first byte of the likeliest token; 0 before anything was predicted.
  int likeliest_byte() const { return speaks_ ? tokens_->first_byte(likeliest_) : 0; }
  // Whether what is known of the token is so in the likeliest.
  bool is_likeliest() const {
    return speaks() && likeliest_ >= tokens_->node(at_).first && likeliest_ < tokens_->node(at_).last;
  }

  // The probability, of 16 bits, that the next bit is 1.
  int p() const {
    const auto &node = tokens_->node(at_);
    const uint32_t all = sums_[node.last] - sums_[node.first], ones = sums_[node.last] - sums_[node.middle];
    const int p = (int)(((uint64_t)ones << 16) / all);
    return p < 1 ? 1 : p > 65535 ? 65535 : p;
  }
  void begin_byte() {
    if (speaks_ && at_ == Tokens::kNone) at_ = 0;
  }
  void read(int bit) {
    if (speaks()) at_ = tokens_->node(at_).next[bit];
  }
  void read_byte(uint8_t byte) {
    if (speaks()) at_ = tokens_->after(at_, byte);
  }
  // After a byte: the token that is now complete, whose successor then begins; kNone where there is none.
  int take_token() {
    if (!speaks() || tokens_->node(at_).token == Tokens::kNone) return Tokens::kNone;
    const int token = tokens_->node(at_).token;
    at_ = 0;
    return token;
  }

  // The same by whole bytes. The bytes that may come next share total(); what is above escape() is for all others.
  uint64_t escape() const { return sum_of(tokens_->node(at_)); }
  uint64_t total() const {
    // At the beginning of a token, what the network gives to the token without bytes, <unk>; else as little as can be.
    const uint64_t rest = at_ == 0 && escape() < 1u << kFrequencyBits ? (1u << kFrequencyBits) - escape() : 1;
    return escape() + rest;
  }
  struct Part {
    uint64_t start, size;  // size 0: a byte that cannot come next
  };
  Part part_of(int byte) const {
    const int at = tokens_->after(at_, byte);
    if (at == Tokens::kNone) return {0, 0};
    return {sums_[tokens_->node(at).first] - sums_[tokens_->node(at_).first], sum_of(tokens_->node(at))};
  }
  // The byte whose part a number below escape() lies in.
  int byte_at(uint64_t number) const {
    const auto &node = tokens_->node(at_);
    const auto begin = sums_.begin() + node.first;
    const auto above = std::upper_bound(begin, sums_.begin() + node.last, (uint32_t)(*begin + number));
    return tokens_->byte(int(above - sums_.begin()) - 1, node.depth);
  }

 private:
  uint32_t sum_of(const Tokens::Node &node) const { return sums_[node.last] - sums_[node.first]; }

  const Tokens *tokens_;
  std::vector<uint32_t> sums_;  // of the frequencies before each token, in the order of their bytes
  int at_ = 0, confidence_ = 0, likeliest_ = 0;
  bool speaks_ = false;
};

}  // namespace charloom
