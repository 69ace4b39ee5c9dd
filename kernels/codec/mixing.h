// Coding by the mixture: what all sessions begin with, and the lanes of one.
#pragma once
#include <mutex>
#include <stdexcept>
#include <vector>

#include "mixture.h"
#include "range_coder.h"
#include "voices.h"

namespace charloom {

// What was learnt from the text that an engine was primed with, and that text.
struct Primed {
  Memory memory;
  std::vector<uint8_t> text;
};

// Copies of what was primed, for sessions. One that was changed little is made good and used again: a short text should
// not have to wait for so much to be copied.
class Copies {
 public:
  explicit Copies(Memory &&original) : original_(std::move(original)) { idle_.reserve(kIdle); }

  // most: bytes of changes up to which it can be made good.
  Memory take(size_t most) {
    Memory memory = take_any();
    memory.begin_undo(most);
    return memory;
  }
  void give(Memory &&memory) {
    if (!memory.undo()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.size() < kIdle) idle_.push_back(std::move(memory));
  }

 private:
  static constexpr size_t kIdle = 1;

  Memory take_any() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!idle_.empty()) {
        Memory memory = std::move(idle_.back());
        idle_.pop_back();
        return memory;
      }
    }
    return original_;
  }

  const Memory original_;
  std::vector<Memory> idle_;
  std::mutex mutex_;
};

class MixingLanes {
 public:
  // primed: the text that `memory` has learnt from. capacity: bytes that each lane has room for. copies: where the
  // memory goes in the end, if anywhere.
  MixingLanes(const Mixer &mixer, const Speaker *speaker, Memory &&memory, const std::vector<uint8_t> &primed,
              size_t capacity, Copies *copies, long lanes)
      : memory_(std::move(memory)),
        copies_(copies),
        text_((uint8_t *)calloc(primed.size() + lanes * capacity + 1, 1)),
        written_(lanes + 1),
        history_{text_.get(), primed.size(), capacity, written_.data()},
        mixture_(mixer, memory_, history_),
        voices_(speaker, lanes) {
    if (!text_) throw std::bad_alloc();
    if (!primed.empty()) memcpy(text_.get(), primed.data(), primed.size());
    for (long i = 0; i < lanes; i++) lanes_.emplace_back(written_[i] = history_.primed + i * capacity);
  }
  MixingLanes(MixingLanes &&) = delete;
  ~MixingLanes() {
    if (copies_) copies_->give(std::move(memory_));
  }

  // Each lane begins a text, after what it has read before.
  void begin() {
    begin_silent();
    begin_voices();
  }
  void begin_silent() {
    for (Lane &lane : lanes_) lane = Lane(lane.position);
  }
  void begin_voices() { voices_.begin(); }
  // Everything is as it was before begin(). For one lane.
  void forget() {
    memory_.undo();
    lanes_[0] = Lane(history_.primed);
    written_[0] = history_.primed;
  }

  void encode(long lane, uint8_t byte, Encoder &encoder) {
    code(lane, [&](int i, int p) {
      const int bit = byte >> i & 1;
      encoder.encode_bit(bit, p);
      return bit;
    });
  }
  uint8_t decode(long lane, Decoder &decoder) {
    return code(lane, [&](int, int p) { return decoder.decode_bit(p); });
  }
  // Reads a byte without coding it.
  void read(long lane, uint8_t byte) {
    code(lane, [&](int i, int) { return byte >> i & 1; });
  }

  // What was learnt, by one lane that was not primed before.
  Primed primed() && { return {std::move(memory_), {text_.get(), text_.get() + written_[0]}}; }

 private:
  // of_bit(i, p) -> bit number i of the byte, which is 1 with probability p.
  template <class OfBit>
  uint8_t code(long number, OfBit of_bit) {
    Lane &lane = lanes_[number];
    Voice &voice = voices_[number];
    if (lane.position - history_.primed >= (number + 1) * history_.lane_capacity)
      throw std::length_error("more than a lane has room for");
    mixture_.begin_byte(lane, voice);
    for (int i = 7; i >= 0; i--) mixture_.learn(lane, voice, of_bit(i, mixture_.predict(lane, voice)));
    const uint8_t byte = mixture_.end_byte(lane);
    written_[number] = lane.position;
    voices_.end_byte(number);
    return byte;
  }

  struct Free {
    void operator()(void *p) const { free(p); }
  };
  Memory memory_;
  Copies *copies_;
  std::unique_ptr<uint8_t, Free> text_;
  std::vector<size_t> written_;  // of each lane: where its next byte goes; and a 0, for the place after all lanes
  History history_;
  Mixture mixture_;
  Voices voices_;
  std::vector<Lane> lanes_;
};

// Reads a text: its first `silent` bytes without the network, the rest with it. records: each line as a text of its
// own.
inline Primed prime(const Mixer &mixer, const Speaker *speaker, Primed &&unprimed, const uint8_t *text, size_t size,
                    size_t silent, bool records) {
  MixingLanes lanes(mixer, speaker, std::move(unprimed.memory), {}, size, nullptr, 1);
  for (size_t i = 0; i < size; i++) {
    const bool begins = i == 0 || (records && text[i - 1] == '\n');
    if (begins) lanes.begin_silent();
    if (records ? begins && i >= silent : i == silent) lanes.begin_voices();
    lanes.read(0, text[i]);
  }
  return std::move(lanes).primed();
}

}  // namespace charloom
