// The network's prediction of a token, converted to predictions of decisions and bytes; in several lanes.
//
// A byte that fits no token is "lost": the network does not predict its remaining decisions, does not read it, and
// predicts a new token from the next byte on.
#pragma once
#include <algorithm>
#include <cmath>

#include "network/network.h"

namespace charloom {

class NetworkPrediction {
 public:
  explicit NetworkPrediction(const Tokens &tokens) : tokens_(&tokens), sums_(tokens.count() + 1) {}

  // Starts a text. frequencies: of all tokens; their sum is 2^22.
  void start(const uint32_t *frequencies) {
    prefix_ = tokens_->start();
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

  // Returns the class of the probability of the likeliest token, 0 to 7.
  int confidence() const { return confidence_; }
  // Returns the first byte of the likeliest token, or 0 before the first prediction.
  int likeliest_byte() const { return predicted_ ? tokens_->byte(likeliest_, 0) : 0; }

  void start_byte() {
    if (predicted_ && prefix_.fits_none()) prefix_ = tokens_->start();
  }
  // Sets the decision to predict: whether the next byte, which is between first and last - 1, is at least middle.
  void narrow(int first, int middle, int last) {
    predicts_ = false;
    if (!predicted_ || prefix_.fits_none()) return;
    first_ = tokens_->place(prefix_, first);
    last_ = tokens_->place(prefix_, last);
    upper_ = sums_[tokens_->place(prefix_, middle)];
    predicts_ = first_ < last_;
  }
  // Returns whether the network predicts the decision.
  bool predicts() const { return predicts_; }
  // Returns whether the known decisions agree with the likeliest token.
  bool is_likeliest() const { return predicts_ && likeliest_ >= first_ && likeliest_ < last_; }
  // Returns the network prediction: the 16-bit probability that the decision is 1.
  int p() const {
    const uint32_t all = sums_[last_] - sums_[first_], ones = sums_[last_] - upper_;
    const int p = (int)(((uint64_t)ones << 16) / all);
    return p < 1 ? 1 : p > 65535 ? 65535 : p;
  }

  // To be called after a byte. Returns the token that it completes, and expects the next token; returns kNone if it
  // completes none.
  int update_byte(uint8_t byte) {
    if (!predicted_ || prefix_.fits_none()) return Tokens::kNone;
    const Tokens::Step step = tokens_->after(prefix_, byte);
    prefix_ = step.prefix;
    return step.token;
  }

  // The prediction of whole bytes. Frequencies below escape() belong to the bytes that can come next, those from there
  // to total() to all others.
  uint64_t escape() const { return sums_[prefix_.last] - sums_[prefix_.first]; }
  uint64_t total() const {
    // At the start of a token, the frequency that the network gives to the token without bytes, <unk>; within a token
    // the least possible.
    const uint64_t all = escape();
    return prefix_.depth == 0 && all < 1u << kFrequencyBits ? 1u << kFrequencyBits : all + 1;
  }
  struct Interval {
    uint64_t start, size;  // size 0: a byte that cannot come next
  };
  Interval interval_of(int byte) const {
    const uint32_t start = sums_[tokens_->place(prefix_, byte)];
    return {start - sums_[prefix_.first], sums_[tokens_->place(prefix_, byte + 1)] - start};
  }
  // Returns the entropy of the next byte in bits. Each of the 256 bytes can follow the escape.
  double entropy() const {
    const double all = (double)total(), escaped = all - (double)escape();
    double sum = escaped * (std::log2(all / escaped) + 8);
    // By the places of the tokens: most bytes start none.
    for (int place = prefix_.first; place < prefix_.last;) {
      const int byte = tokens_->byte(place, prefix_.depth);
      if (const double size = (double)interval_of(byte).size) sum += size * std::log2(all / size);
      place = tokens_->place(prefix_, byte + 1);
    }
    return sum / all;
  }
  // Returns the byte whose interval contains a number below escape().
  int byte_at(uint64_t number) const {
    const auto first = sums_.begin() + prefix_.first;
    const auto above = std::upper_bound(first, sums_.begin() + prefix_.last, (uint32_t)(*first + number));
    return tokens_->byte(int(above - sums_.begin()) - 1, prefix_.depth);
  }

 private:
  const Tokens *tokens_;
  std::vector<uint32_t> sums_;  // cumulative frequencies, in the order of the tokens' bytes
  Tokens::Prefix prefix_ = {};
  int confidence_ = 0, likeliest_ = 0;
  bool predicted_ = false;
  // Of the decision: whether it is predicted, the range of tokens, and the sum at which its upper part starts.
  bool predicts_ = false;
  int first_ = 0, last_ = 0;
  uint32_t upper_ = 0;
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
  void end_byte(long lane, uint8_t byte) {
    tokens_[lane] = predictions_[lane].update_byte(byte);
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
