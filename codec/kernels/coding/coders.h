// The two engines, which code one byte at a time: by the network alone (FastLanes), or by context mixing with the
// network as one of its inputs (MixingLanes). sessions.h applies them to blocks and records.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "coding/range_coder.h"
#include "mixing/context_mixing.h"

namespace charloom {

// Codes bytes by the network alone.
class FastLanes {
 public:
  FastLanes(const Network &network, long lanes) : networks_(network, lanes) {}

  void start() { networks_.start(); }
  void reset() {}

  // Output: an Encoder or a CostMeter.
  template <class Output>
  void encode(long lane, uint8_t byte, Output &encoder) {
    NetworkPrediction &network = networks_[lane];
    network.start_byte();
    if constexpr (std::is_same_v<Output, CostMeter>) encoder.expect(network.entropy());
    const NetworkPrediction::Interval interval = network.interval_of(byte);
    if (interval.size) {
      encoder.encode(interval.start, interval.size, network.total());
    } else {  // escape: no token continues with this byte
      encoder.encode(network.escape(), network.total() - network.escape(), network.total());
      encoder.encode(byte, 1, 256);
    }
    end_byte(lane, byte);
  }

  uint8_t decode(long lane, Decoder &decoder) {
    NetworkPrediction &network = networks_[lane];
    network.start_byte();
    const uint64_t number = decoder.decode_target(network.total());
    int byte;
    if (number < network.escape()) {
      byte = network.byte_at(number);
      const NetworkPrediction::Interval interval = network.interval_of(byte);
      decoder.consume(interval.start, interval.size, network.total());
    } else {
      decoder.consume(network.escape(), network.total() - network.escape(), network.total());
      byte = (int)decoder.decode_target(256);
      decoder.consume(byte, 1, 256);
    }
    end_byte(lane, (uint8_t)byte);
    return (uint8_t)byte;
  }

 private:
  void end_byte(long lane, uint8_t byte) { networks_.end_byte(lane, byte); }

  NetworkLanes networks_;
};

// The memory after priming, with the text that it has read, from which sessions start.
//
// Sessions get copies. The copy of a finished session is restored by its undo log and reused if few lines have changed:
// for a short text, a copy of the whole memory would take longer than the text.
class Primed {
 public:
  Primed(Memory &&memory, const uint8_t *text, size_t size, ByteTrees &&trees)
      : memory_(std::move(memory)), text_(text, text + size), trees_(std::move(trees)) {}

  const std::vector<uint8_t> &text() const { return text_; }
  const ByteTrees &trees() const { return trees_; }
  // max_undo_bytes: the size of changes up to which the copy can be restored.
  Memory acquire(size_t max_undo_bytes) {
    Memory memory = reuse_or_copy();
    memory.start_undo_log(max_undo_bytes);
    return memory;
  }
  void release(Memory &&memory) {
    if (!memory.undo()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!idle_) idle_.emplace(std::move(memory));
  }

 private:
  Memory reuse_or_copy() {
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
  const ByteTrees trees_;
  std::optional<Memory> idle_;
  std::mutex mutex_;
};

// Codes bytes by context mixing. All lanes learn in one memory, and each may match the text of the others.
class MixingLanes {
 public:
  // corrector: null for none. max_undo_bytes: as in Primed::acquire. capacity: bytes of each lane at most.
  MixingLanes(const Network &network, const MixingRules &rules, const Corrector *corrector, Primed &primed,
              size_t max_undo_bytes, size_t capacity, long lanes)
      : MixingLanes(network, rules, corrector, primed.acquire(max_undo_bytes), primed.trees(), primed.text(), capacity,
                    lanes) {
    primed_ = &primed;
  }
  // With a memory that has read `before` and is not released.
  MixingLanes(const Network &network, const MixingRules &rules, const Corrector *corrector, Memory &&memory,
              const ByteTrees &trees, const std::vector<uint8_t> &before, size_t capacity, long lanes)
      : memory_(std::move(memory)),
        text_((uint8_t *)calloc(before.size() + lanes * capacity + 1, 1)),
        written_(lanes + 1),
        buffer_{text_.get(), before.size(), capacity, written_.data()},
        mixture_(network.kernels(), rules, corrector, trees, memory_, buffer_),
        networks_(network, lanes) {
    if (!text_) throw std::bad_alloc();
    if (!before.empty()) memcpy(text_.get(), before.data(), before.size());
    for (long i = 0; i < lanes; i++) lanes_.emplace_back(written_[i] = buffer_.primed + i * capacity);
  }
  // mixture_ refers to other members.
  MixingLanes(MixingLanes &&) = delete;
  ~MixingLanes() {
    if (primed_) primed_->release(std::move(memory_));
  }

  // Starts a text in each lane, after what the lane has read before.
  void start() {
    start_texts();
    start_network();
  }
  void start_texts() {
    for (Lane &lane : lanes_) lane = Lane(lane.position);
  }
  void start_network() { networks_.start(); }
  // Restores the state before start(). One lane only.
  void reset() {
    memory_.undo();
    lanes_[0] = Lane(buffer_.primed);
    written_[0] = buffer_.primed;
  }

  // Output: an Encoder or a CostMeter.
  template <class Output>
  void encode(long lane, uint8_t byte, Output &encoder) {
    code(lane, [&](const ByteTree::Node &node, int p) {
      const int bit = byte >= node.middle;
      encoder.encode_bit(bit, p);
      return bit;
    });
  }
  uint8_t decode(long lane, Decoder &decoder) {
    return code(lane, [&](const ByteTree::Node &, int p) { return decoder.decode_bit(p); });
  }
  // Reads a byte without coding it.
  void update(long lane, uint8_t byte) {
    code(lane, [&](const ByteTree::Node &node, int) { return byte >= node.middle; });
  }

  // Reads a byte without coding it. Appends to `rows`, for each decision whose prediction is corrected, the inputs of
  // the corrector, its categories, and the bit: the data that it is trained on.
  void inspect(long lane, uint8_t byte, std::vector<int16_t> &rows) {
    if (!mixture_.has_corrector()) throw std::invalid_argument("the engine has no corrector");
    code(lane, [&](const ByteTree::Node &node, int) {
      const int bit = byte >= node.middle;
      if (const CorrectorInputs *inputs = mixture_.corrector_inputs()) {
        for (int input = 0; input < kUsedInputs; input++) rows.push_back(inputs->mixer[mixer_input_of(input)]);
        rows.insert(rows.end(), inputs->stages, inputs->stages + kStageInputs);
        for (int category : inputs->category) rows.push_back((int16_t)category);
        rows.push_back((int16_t)bit);
      }
      return bit;
    });
  }

  Memory memory() && { return std::move(memory_); }

 private:
  // code_bit(node, p) codes the decision of a node, which is 1 with probability p, and returns it.
  template <class CodeBit>
  uint8_t code(long number, CodeBit code_bit) {
    Lane &lane = lanes_[number];
    NetworkPrediction &network = networks_[number];
    if (lane.position - buffer_.primed >= (number + 1) * buffer_.lane_capacity)
      throw std::length_error("the data exceeds the capacity of a lane");
    mixture_.start_byte(lane, network);
    while (!lane.has_byte()) {
      const int p = mixture_.predict(lane, network);
      mixture_.update(lane, network, code_bit(lane.node(), p));
    }
    const uint8_t byte = mixture_.end_byte(lane);
    written_[number] = lane.position;
    networks_.end_byte(number, byte);
    return byte;
  }

  struct FreeDeleter {
    void operator()(void *p) const { free(p); }
  };
  Memory memory_;
  Primed *primed_ = nullptr;
  std::unique_ptr<uint8_t, FreeDeleter> text_;
  std::vector<size_t> written_;  // of each lane: position of its next byte; then a 0, for the position after all lanes
  TextBuffer buffer_;
  ContextMixing mixture_;
  NetworkLanes networks_;
  std::vector<Lane> lanes_;
};

// Reads a text: its first `silent` bytes without the network, the rest with it. records: each line is a text of its
// own.
inline std::unique_ptr<Primed> prime(const Network &network, const MixingRules &rules, const Corrector *corrector,
                                     int full_bits, int light_bits, const uint8_t *text, size_t size, size_t silent,
                                     bool records) {
  ByteTrees trees = rules.has_balanced_trees ? ByteTrees(text, size) : ByteTrees();
  MixingLanes lanes(network, rules, corrector, Memory(full_bits, light_bits), trees, {}, size, 1);
  for (size_t i = 0; i < size; i++) {
    const bool starts_text = i == 0 || (records && text[i - 1] == '\n');
    if (starts_text) lanes.start_texts();
    if (records ? starts_text && i >= silent : i == silent) lanes.start_network();
    lanes.update(0, text[i]);
  }
  return std::make_unique<Primed>(std::move(lanes).memory(), text, size, std::move(trees));
}

}  // namespace charloom
