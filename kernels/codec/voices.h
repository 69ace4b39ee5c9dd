// The network's voices in several lanes: a round of bytes, one in each lane, then the network reads the tokens that are
// complete.
#pragma once
#include <vector>

#include "aligned_block.h"
#include "network.h"
#include "voice.h"

namespace charloom {

// A network, packed, and what its tokens are. Outlives what is made with it.
struct Speaker {
  const CodecNetwork &functions;
  const void *packed;
  long vocabulary;
  Tokens tokens;
};

class Voices {
 public:
  // speaker: null for voices that never speak.
  Voices(const Speaker *speaker, long lanes)
      : speaker_(speaker),
        lanes_(lanes),
        voices_(lanes, Voice(speaker ? &speaker->tokens : nullptr)),
        tokens_(lanes, Tokens::kNone),
        frequencies_(speaker ? lanes * speaker->vocabulary : 0),
        state_(speaker ? speaker->functions.state_size(speaker->packed, lanes) : 0),
        workspace_(speaker ? speaker->functions.workspace_size(speaker->packed, lanes) : 0) {}

  Voice &operator[](long lane) { return voices_[lane]; }

  // They begin to speak, each of a text that begins.
  void begin() {
    if (!speaker_) return;
    speaker_->functions.begin(speaker_->packed, lanes_, state_.data(), frequencies_.data(), workspace_.data());
    for (long lane = 0; lane < lanes_; lane++) voices_[lane].begin(frequencies_of(lane));
  }

  // After a byte of a lane; lanes take turns.
  void end_byte(long lane) {
    tokens_[lane] = voices_[lane].take_token();
    any_ |= tokens_[lane] != Tokens::kNone;
    if (lane < lanes_ - 1 || !any_) return;
    speaker_->functions.step(speaker_->packed, lanes_, tokens_.data(), state_.data(), frequencies_.data(),
                             workspace_.data());
    for (long i = 0; i < lanes_; i++)
      if (tokens_[i] != Tokens::kNone) voices_[i].predict(frequencies_of(i));
    any_ = false;
  }

 private:
  const uint32_t *frequencies_of(long lane) const { return frequencies_.data() + lane * speaker_->vocabulary; }

  const Speaker *speaker_;
  long lanes_;
  std::vector<Voice> voices_;
  std::vector<int32_t> tokens_;        // that the network has not read yet
  std::vector<uint32_t> frequencies_;  // (lanes, vocabulary)
  AlignedBlock state_, workspace_;
  bool any_ = false;
};

}  // namespace charloom
