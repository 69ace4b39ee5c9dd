// The network's prediction of a token, converted to predictions of its bits and bytes; in several lanes.
//
// A byte that fits no token is "lost": the network does not predict its remaining bits, does not read it, and predicts
// a new token from the next byte on.
#pragma once
#include <algorithm>

#include "network/network.h"

namespace charloom {

class NetworkPrediction {
 public:
  explicit NetworkPrediction(const Tokens &tokens) : tokens_(&tokens), sums_(tokens.count() + 1) {}

  // Starts a text. frequencies: of all tokens; their sum is 2^22.
  void start(const uint32_t *frequencies) {
    node_ = 0;
    predict(frequencies);
  }
  void predict(const uint32_t *frequencies) {
    const int count = tokens_->count(), *ids = tokens_->ids();
    uint32_t *sums = sums_.data(), sum = 0, max_frequency = 0;
    int likeliest = likeliest_;
    for (int i = 0; i < count; i++) {
      const uint32_t f = frequencies[ids[i]];
      sums[i] = sum;
      sum += f;
      likeliest = max_frequency < f ? i : likeliest;
      max_frequency = max_frequency < f ? f : max_frequency;
    }
    sums[count] = sum;
    likeliest_ = likeliest;
    constexpr int percent[] = {20, 35, 50, 70, 85, 95, 99};
    confidence_ = 0;
    for (int limit : percent) confidence_ += (uint64_t)max_frequency * 100 >= (uint64_t)sum * limit;
    predicted_ = true;
  }

  bool predicts() const { return predicted_ && node_ != Tokens::kNone; }
  // Returns the class of the probability of the likeliest token, 0 to 7.
  int confidence() const { return confidence_; }
  // Returns the first byte of the likeliest token, or 0 before the first prediction.
  int likeliest_byte() const { return predicted_ ? tokens_->first_byte(likeliest_) : 0; }
  // Returns whether the known bits of the token agree with the likeliest token.
  bool is_likeliest() const {
    return predicts() && likeliest_ >= tokens_->node(node_).first && likeliest_ < tokens_->node(node_).last;
  }

  // Returns the network prediction: the 16-bit probability that the next bit is 1.
  int p() const {
    const auto &node = tokens_->node(node_);
    const uint32_t all = sums_[node.last] - sums_[node.first], ones = sums_[node.last] - sums_[node.middle];
    const int p = (int)(((uint64_t)ones << 16) / all);
    return p < 1 ? 1 : p > 65535 ? 65535 : p;
  }
  void start_byte() {
    if (predicted_ && node_ == Tokens::kNone) node_ = 0;
  }
  void update(int bit) {
    if (predicts()) node_ = tokens_->node(node_).next[bit];
  }
  void update_byte(uint8_t byte) {
    if (predicts()) node_ = tokens_->after(node_, byte);
  }
  // To be called after a byte. Returns the token that it completes, and expects the next token; returns kNone if it
  // completes none.
  int take_complete_token() {
    if (!predicts() || tokens_->node(node_).token == Tokens::kNone) return Tokens::kNone;
    const int token = tokens_->node(node_).token;
    node_ = 0;
    return token;
  }

  // The prediction of whole bytes. Frequencies below escape() belong to the bytes that can come next, those from there
  // to total() to all others.
  uint64_t escape() const { return frequency_of(tokens_->node(node_)); }
  uint64_t total() const {
    // At the start of a token, the frequency that the network gives to the token without bytes, <unk>; within a token
    // the least possible.
    const uint64_t rest = node_ == 0 && escape() < 1u << kFrequencyBits ? (1u << kFrequencyBits) - escape() : 1;
    return escape() + rest;
  }
  struct Interval {
    uint64_t start, size;  // size 0: a byte that cannot come next
  };
  Interval interval_of(int byte) const {
    const int at = tokens_->after(node_, byte);
    if (at == Tokens::kNone) return {0, 0};
    return {sums_[tokens_->node(at).first] - sums_[tokens_->node(node_).first], frequency_of(tokens_->node(at))};
  }
  // Returns the byte whose interval contains a number below escape().
  int byte_at(uint64_t number) const {
    const auto &node = tokens_->node(node_);
    const auto first = sums_.begin() + node.first;
    const auto above = std::upper_bound(first, sums_.begin() + node.last, (uint32_t)(*first + number));
    return tokens_->byte(int(above - sums_.begin()) - 1, node.depth);
  }

 private:
  uint32_t frequency_of(const Tokens::Node &node) const { return sums_[node.last] - sums_[node.first]; }

  const Tokens *tokens_;
  std::vector<uint32_t> sums_;  // cumulative frequencies, in the order of the tokens' bytes
  int node_ = 0, confidence_ = 0, likeliest_ = 0;
  bool predicted_ = false;
};

// The network in several lanes. After one byte in each lane, the network reads the tokens that are complete, all in one
// step: the weights are then streamed once for all lanes.
class NetworkLanes {
 public:
  NetworkLanes(const Network &network, long lanes)
      : network_(network),
        lanes_(lanes),
        predictions_(lanes, NetworkPrediction(network.tokens())),
        tokens_(lanes, Tokens::kNone),
        frequencies_(lanes * network.vocabulary()),
        memory_(network.functions().start(network.packed(), lanes, nullptr, nullptr)) {}

  NetworkPrediction &operator[](long lane) { return predictions_[lane]; }

  // Starts a text in each lane.
  void start() {
    network_.functions().start(network_.packed(), lanes_, memory_.data(), frequencies_.data());
    for (long lane = 0; lane < lanes_; lane++) predictions_[lane].start(frequencies_of(lane));
  }

  // To be called after a byte of a lane; lanes take turns, the last one runs the step.
  void end_byte(long lane) {
    tokens_[lane] = predictions_[lane].take_complete_token();
    has_complete_token_ |= tokens_[lane] != Tokens::kNone;
    if (lane < lanes_ - 1 || !has_complete_token_) return;
    network_.functions().step(network_.packed(), lanes_, tokens_.data(), memory_.data(), frequencies_.data());
    for (long i = 0; i < lanes_; i++)
      if (tokens_[i] != Tokens::kNone) predictions_[i].predict(frequencies_of(i));
    has_complete_token_ = false;
  }

 private:
  const uint32_t *frequencies_of(long lane) const { return frequencies_.data() + lane * network_.vocabulary(); }

  const Network &network_;
  long lanes_;
  std::vector<NetworkPrediction> predictions_;
  std::vector<int32_t> tokens_;        // complete tokens that the network has not read yet
  std::vector<uint32_t> frequencies_;  // (lanes, vocabulary)
  Workspace memory_;
  bool has_complete_token_ = false;
};

}  // namespace charloom
