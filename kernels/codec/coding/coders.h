// Coding a byte by the network alone, or by context mixing.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <vector>

#include "codec/coding/range_coder.h"
#include "codec/mixing/context_mixing.h"

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

// What was learnt from the text that an engine was primed with, and that text, for sessions to begin with.
//
// They take copies. One that was changed little is made good and used again: a short text should not have to wait for
// so much to be copied.
class Primed {
 public:
  Primed(Memory &&memory, const uint8_t *text, size_t size) : memory_(std::move(memory)), text_(text, text + size) {}

  const std::vector<uint8_t> &text() const { return text_; }
  // most: bytes of changes up to which it can be made good.
  Memory take(size_t most) {
    Memory memory = idle_or_copy();
    memory.begin_undo(most);
    return memory;
  }
  void give(Memory &&memory) {
    if (!memory.undo()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!idle_) idle_.emplace(std::move(memory));
  }

 private:
  Memory idle_or_copy() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (idle_) {
        Memory memory = std::move(*idle_);
        idle_.reset();
        return memory;
      }
    }
    return memory_;
  }

  const Memory memory_;
  const std::vector<uint8_t> text_;
  std::optional<Memory> idle_;
  std::mutex mutex_;
};

class MixingLanes {
 public:
  // most: as Primed::take takes it. capacity: bytes that each lane has room for.
  MixingLanes(const Network &network, Primed &primed, size_t most, size_t capacity, long lanes)
      : MixingLanes(network, primed.take(most), primed.text(), capacity, lanes) {
    primed_ = &primed;
  }
  // With a memory that has learnt from `before`, and is not given back.
  MixingLanes(const Network &network, Memory &&memory, const std::vector<uint8_t> &before, size_t capacity, long lanes)
      : memory_(std::move(memory)),
        text_((uint8_t *)calloc(before.size() + lanes * capacity + 1, 1)),
        written_(lanes + 1),
        buffer_{text_.get(), before.size(), capacity, written_.data()},
        mixture_(network.kernels(), memory_, buffer_),
        networks_(network, lanes) {
    if (!text_) throw std::bad_alloc();
    if (!before.empty()) memcpy(text_.get(), before.data(), before.size());
    for (long i = 0; i < lanes; i++) lanes_.emplace_back(written_[i] = buffer_.primed + i * capacity);
  }
  MixingLanes(MixingLanes &&) = delete;
  ~MixingLanes() {
    if (primed_) primed_->give(std::move(memory_));
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

  Memory memory() && { return std::move(memory_); }

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
  Primed *primed_ = nullptr;
  std::unique_ptr<uint8_t, Free> text_;
  std::vector<size_t> written_;  // of each lane: where its next byte goes; and a 0, for the place after all lanes
  TextBuffer buffer_;
  ContextMixing mixture_;
  NetworkLanes networks_;
  std::vector<Lane> lanes_;
};

// Reads a text: its first `silent` bytes without the network, the rest with it. records: each line as a text of its
// own.
inline std::unique_ptr<Primed> prime(const Network &network, int full_bits, int light_bits, const uint8_t *text,
                                     size_t size, size_t silent, bool records) {
  MixingLanes lanes(network, Memory(full_bits, light_bits), {}, size, 1);
  for (size_t i = 0; i < size; i++) {
    const bool begins = i == 0 || (records && text[i - 1] == '\n');
    if (begins) lanes.begin_texts();
    if (records ? begins && i >= silent : i == silent) lanes.begin_network();
    lanes.read(0, text[i]);
  }
  return std::make_unique<Primed>(std::move(lanes).memory(), text, size);
}

}  // namespace charloom
