// The network's prediction of a token as predictions of its bits and bytes; in several lanes.
//
// A byte that fits no token is "lost": the network predicts nothing of its further bits, does not read it, and predicts
// a new token with the next byte.
#pragma once
#include <algorithm>

#include "codec/network/network.h"

namespace charloom {

class NetworkPrediction {
 public:
  explicit NetworkPrediction(const Tokens &tokens) : tokens_(&tokens), sums_(tokens.count() + 1) {}

  // Begins a text. frequencies: of all tokens, 2^22 in sum.
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
    predicted_ = true;
  }

  bool predicts() const { return predicted_ && at_ != Tokens::kNone; }
  // How likely the likeliest token is, 0 to 7.
  int confidence() const { return confidence_; }
  // The first byte of the likeliest token; 0 before anything was predicted.
  int likeliest_byte() const { return predicted_ ? tokens_->first_byte(likeliest_) : 0; }
  // Whether what is known of the token is so in the likeliest.
  bool is_likeliest() const {
    return predicts() && likeliest_ >= tokens_->node(at_).first && likeliest_ < tokens_->node(at_).last;
  }

  // The probability, of 16 bits, that the next bit is 1.
  int p() const {
    const auto &node = tokens_->node(at_);
    const uint32_t all = sums_[node.last] - sums_[node.first], ones = sums_[node.last] - sums_[node.middle];
    const int p = (int)(((uint64_t)ones << 16) / all);
    return p < 1 ? 1 : p > 65535 ? 65535 : p;
  }
  void begin_byte() {
    if (predicted_ && at_ == Tokens::kNone) at_ = 0;
  }
  void read(int bit) {
    if (predicts()) at_ = tokens_->node(at_).next[bit];
  }
  void read_byte(uint8_t byte) {
    if (predicts()) at_ = tokens_->after(at_, byte);
  }
  // After a byte: the token that is now complete, whose successor then begins; kNone where there is none.
  int take_token() {
    if (!predicts() || tokens_->node(at_).token == Tokens::kNone) return Tokens::kNone;
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
  bool predicted_ = false;
};

// A round of bytes, one in each lane, then the network reads the tokens that are complete.
class NetworkLanes {
 public:
  NetworkLanes(const Network &network, long lanes)
      : network_(network),
        lanes_(lanes),
        predictions_(lanes, NetworkPrediction(network.tokens())),
        tokens_(lanes, Tokens::kNone),
        frequencies_(lanes * network.vocabulary()),
        memory_(network.functions().begin(network.packed(), lanes, nullptr, nullptr)) {}

  NetworkPrediction &operator[](long lane) { return predictions_[lane]; }

  // Each lane begins a text.
  void begin() {
    network_.functions().begin(network_.packed(), lanes_, memory_.data(), frequencies_.data());
    for (long lane = 0; lane < lanes_; lane++) predictions_[lane].begin(frequencies_of(lane));
  }

  // After a byte of a lane; lanes take turns.
  void end_byte(long lane) {
    tokens_[lane] = predictions_[lane].take_token();
    any_ |= tokens_[lane] != Tokens::kNone;
    if (lane < lanes_ - 1 || !any_) return;
    network_.functions().step(network_.packed(), lanes_, tokens_.data(), memory_.data(), frequencies_.data());
    for (long i = 0; i < lanes_; i++)
      if (tokens_[i] != Tokens::kNone) predictions_[i].predict(frequencies_of(i));
    any_ = false;
  }

 private:
  const uint32_t *frequencies_of(long lane) const { return frequencies_.data() + lane * network_.vocabulary(); }

  const Network &network_;
  long lanes_;
  std::vector<NetworkPrediction> predictions_;
  std::vector<int32_t> tokens_;        // that the network has not read yet
  std::vector<uint32_t> frequencies_;  // (lanes, vocabulary)
  Workspace memory_;
  bool any_ = false;
};

}  // namespace charloom
