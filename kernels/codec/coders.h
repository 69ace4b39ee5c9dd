// Coding a byte by the network alone, or by context mixing.
#pragma once
#include <mutex>
#include <stdexcept>
#include <vector>

#include "context_mixing.h"
#include "network_prediction.h"
#include "range_coder.h"

namespace charloom {

class FastLanes {
 public:
  FastLanes(const Network &network, long lanes) : networks_(network, lanes) {}

  void begin() { networks_.begin(); }
  void forget() {}

  void encode(long lane, uint8_t byte, Encoder &encoder) {
    NetworkPrediction &network = networks_[lane];
    network.begin_byte();
    const NetworkPrediction::Part part = network.part_of(byte);
    if (part.size) {
      encoder.encode(part.start, part.size, network.total());
    } else {  // a byte that the network has no token for
      encoder.encode(network.escape(), network.total() - network.escape(), network.total());
      encoder.encode(byte, 1, 256);
    }
    end_byte(lane, byte);
  }

  uint8_t decode(long lane, Decoder &decoder) {
    NetworkPrediction &network = networks_[lane];
    network.begin_byte();
    const uint64_t number = decoder.find(network.total());
    int byte;
    if (number < network.escape()) {
      byte = network.byte_at(number);
      const NetworkPrediction::Part part = network.part_of(byte);
      decoder.skip(part.start, part.size, network.total());
    } else {
      decoder.skip(network.escape(), network.total() - network.escape(), network.total());
      byte = (int)decoder.find(256);
      decoder.skip(byte, 1, 256);
    }
    end_byte(lane, (uint8_t)byte);
    return (uint8_t)byte;
  }

 private:
  void end_byte(long lane, uint8_t byte) {
    networks_[lane].read_byte(byte);
    networks_.end_byte(lane);
  }

  NetworkLanes networks_;
};

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
  MixingLanes(const Network &network, Memory &&memory, const std::vector<uint8_t> &primed, size_t capacity,
              Copies *copies, long lanes)
      : memory_(std::move(memory)),
        copies_(copies),
        text_((uint8_t *)calloc(primed.size() + lanes * capacity + 1, 1)),
        written_(lanes + 1),
        buffer_{text_.get(), primed.size(), capacity, written_.data()},
        mixture_(network.functions().mixer, memory_, buffer_),
        networks_(network, lanes) {
    if (!text_) throw std::bad_alloc();
    if (!primed.empty()) memcpy(text_.get(), primed.data(), primed.size());
    for (long i = 0; i < lanes; i++) lanes_.emplace_back(written_[i] = buffer_.primed + i * capacity);
  }
  MixingLanes(MixingLanes &&) = delete;
  ~MixingLanes() {
    if (copies_) copies_->give(std::move(memory_));
  }

  // Each lane begins a text, after what it has read before.
  void begin() {
    begin_texts();
    begin_network();
  }
  void begin_texts() {
    for (Lane &lane : lanes_) lane = Lane(lane.position);
  }
  void begin_network() { networks_.begin(); }
  // Everything is as it was before begin(). For one lane.
  void forget() {
    memory_.undo();
    lanes_[0] = Lane(buffer_.primed);
    written_[0] = buffer_.primed;
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
    NetworkPrediction &network = networks_[number];
    if (lane.position - buffer_.primed >= (number + 1) * buffer_.lane_capacity)
      throw std::length_error("more than a lane has room for");
    mixture_.begin_byte(lane, network);
    for (int i = 7; i >= 0; i--) mixture_.learn(lane, network, of_bit(i, mixture_.predict(lane, network)));
    const uint8_t byte = mixture_.end_byte(lane);
    written_[number] = lane.position;
    networks_.end_byte(number);
    return byte;
  }

  struct Free {
    void operator()(void *p) const { free(p); }
  };
  Memory memory_;
  Copies *copies_;
  std::unique_ptr<uint8_t, Free> text_;
  std::vector<size_t> written_;  // of each lane: where its next byte goes; and a 0, for the place after all lanes
  TextBuffer buffer_;
  ContextMixing mixture_;
  NetworkLanes networks_;
  std::vector<Lane> lanes_;
};

// Reads a text: its first `silent` bytes without the network, the rest with it. records: each line as a text of its
// own.
inline Primed prime(const Network &network, int full_bits, int light_bits, const uint8_t *text, size_t size,
                    size_t silent, bool records) {
  MixingLanes lanes(network, Memory(full_bits, light_bits), {}, size, nullptr, 1);
  for (size_t i = 0; i < size; i++) {
    const bool begins = i == 0 || (records && text[i - 1] == '\n');
    if (begins) lanes.begin_texts();
    if (records ? begins && i >= silent : i == silent) lanes.begin_network();
    lanes.read(0, text[i]);
  }
  return std::move(lanes).primed();
}

}  // namespace charloom
