// What the mixture has learnt: one block of memory without pointers, which is copied, kept and undone as bytes.
#pragma once
#include <cstring>
#include <memory>
#include <vector>

#include "codec/codec_kernels.h"
#include "codec/mixing/bit_history.h"
#include "codec/mixing/match.h"
#include "runtime/workspace.h"

namespace charloom {

// What a node of a frequent context knows: the probability that the bit is 1, beside what was seen.
struct Node {
  uint16_t p;
  uint8_t history;  // see BitHistories; 0: nothing was seen
  uint8_t count;
};

// The nodes of half a byte in one context: the first bit's, then two, four and eight. Contexts that seldom come again
// have histories alone, a quarter of the memory.
struct FullSlot {
  uint16_t check;  // of the context; 0: free
  uint16_t unused;
  Node node[15];
};
struct LightSlot {
  uint8_t check;
  uint8_t history[15];
};
static_assert(sizeof(FullSlot) == 64 && sizeof(LightSlot) == 16);

enum : int {
  kMatches = 2,
  kMatchInput = 2 * kContexts + kFull,
  kNetworkInput = kMatchInput + 2 * kMatches,
  kUsedInputs = kNetworkInput + 2 + 1,
  kInputs = (kUsedInputs + 31) / 32 * 32,
  kSets = 7,
  kLengthClasses = 10,  // of the longest match, 0: none
  kLogitSteps = 32,     // steps of the logit that the network gives
  kAPMs = 3,
};
// How many rows of weights each set has, see ContextMixing::predict.
constexpr int kSetSizes[kSets] = {kLengthClasses * 64, 2 * 256, 256, 8 * 16 * 8, kLogitSteps * 64, 256 * 8, 256};
constexpr int first_row_of(int set) { return set ? first_row_of(set - 1) + kSetSizes[set - 1] : 0; }
constexpr int kAPMContexts = 1 << 16;  // of each APM

// Keeps what a block of memory held, line by line, before it is changed; and puts it back.
class Undo {
 public:
  Undo(uint8_t *block, size_t size) : block_(block), is_kept_((size + kLine - 1) / kLine) {}

  // Keeps from now on, until that takes more than `most` bytes.
  void begin(size_t most) {
    most_ = most / kLine;
    works_ = true;
  }
  bool works() const { return works_; }

  void keep(const void *from, size_t size) {
    const size_t begin = ((const uint8_t *)from - block_) / kLine;
    const size_t end = ((const uint8_t *)from - block_ + size - 1) / kLine;
    for (size_t i = begin; i <= end; i++) {
      if (is_kept_[i]) continue;
      Line line{i, {}};
      memcpy(line.bytes, block_ + i * kLine, kLine);
      kept_.push_back(line);  // first: where there is no memory for it, the line is not kept
      is_kept_[i] = true;
    }
    if (kept_.size() <= most_) return;
    works_ = false;
    kept_ = {};
  }

  // Whether all is as it was at begin().
  bool all() {
    if (!works_) return false;
    for (const Line &line : kept_) {
      memcpy(block_ + line.number * kLine, line.bytes, kLine);
      is_kept_[line.number] = false;
    }
    kept_.clear();
    return true;
  }

 private:
  static constexpr size_t kLine = 64;
  struct Line {
    size_t number;
    uint8_t bytes[kLine];
  };

  uint8_t *block_;
  std::vector<bool> is_kept_;
  std::vector<Line> kept_;
  size_t most_ = 0;
  bool works_ = false;
};

class Memory {
 public:
  struct Counters {
    alignas(64) StateMap histories[kContexts][256];
    StateMap matches[kMatches][Match::kMaps];
    StateMap network_maps[kLogitSteps * 64];
    alignas(64) int16_t weights[first_row_of(kSets)][kInputs];
    int32_t weights_of_sets[8 * 64][8];
    uint16_t apms[kAPMs][kAPMContexts][APM::kPoints];
    uint32_t places[kMatches][1 << Match::kHashBits];
    alignas(64) uint32_t bytes_read;
    uint32_t bytes_with_network;  // with the network predicting
  };

  // 2^bits slots of each kind.
  Memory(int full_bits, int light_bits)
      : full_bits_(full_bits),
        light_bits_(light_bits),
        size_(sizeof(Counters) + (sizeof(FullSlot) << full_bits) + (sizeof(LightSlot) << light_bits)),
        block_(std::make_unique<Workspace>(size_)) {
    memset(data(), 0, size_);
    start();
  }
  Memory(Memory &&) = default;
  Memory(const Memory &other)
      : full_bits_(other.full_bits_),
        light_bits_(other.light_bits_),
        size_(other.size_),
        block_(std::make_unique<Workspace>(size_)) {
    memcpy(data(), other.data(), size_);
  }

  Counters &counters() { return *(Counters *)data(); }
  FullSlot *full(uint32_t key) { return find(full_slots(), full_bits_, key); }
  LightSlot *light(uint32_t key) { return find(light_slots(), light_bits_, key); }
  // To be called some time before full() and light() for the same key: the slots are seldom in a cache.
  void fetch_full(uint32_t key) { __builtin_prefetch(full_slots() + home_of(key, full_bits_), 1); }
  void fetch_light(uint32_t key) { __builtin_prefetch(light_slots() + home_of(key, light_bits_), 1); }

  // Before the network predicts first: the weights of circumstances that only it makes are those learnt without it.
  void begin_network() {
    Counters &c = counters();
    keep(&c.weights);
    keep(&c.weights_of_sets);
    auto spread = [&](int set, int step, int block) {  // rows of `block` from those that begin each `step`
      int16_t (*rows)[kInputs] = c.weights + first_row_of(set);
      for (int i = 0; i < kSetSizes[set]; i++) {
        const int from = i / step * step + i % block;
        if (from != i) memcpy(rows[i], rows[from], sizeof *rows);
      }
    };
    spread(0, 8, 1);                 // by confidence
    spread(1, 2 * 256, 256);         // by whether the likeliest may come
    spread(4, kLogitSteps * 64, 8);  // by logit and confidence
    spread(6, 256, 1);               // by the likeliest byte
    for (int i = 64; i < 8 * 64; i++)
      memcpy(c.weights_of_sets[i], c.weights_of_sets[i % 64], sizeof c.weights_of_sets[i]);
  }

  // From now on what is kept() can be undone, as long as it is not more than `most` bytes.
  void begin_undo(size_t most) {
    if (!undo_) undo_ = std::make_unique<Undo>(data(), size_);
    undo_->begin(most);
  }
  // Whether all is as it was at begin_undo().
  bool undo() { return undo_ && undo_->all(); }
  // To be called before something in the block is changed.
  template <class T>
  void keep(const T *changed, size_t count = 1) {
    if (undo_ && undo_->works()) undo_->keep(changed, count * sizeof(T));
  }

 private:
  uint8_t *data() const { return (uint8_t *)block_->data(); }

  void start() {
    Counters &c = counters();
    for (auto &of_context : c.histories)
      for (int s = 0; s < kBitHistories.count(); s++) {
        const int zeros = kBitHistories.zeros(s), ones = kBitHistories.ones(s);
        of_context[s] = StateMap::of((5 * ones + 2) * kOne / (5 * (zeros + ones) + 4), 6);
      }
    for (auto &match : c.matches)
      for (int i = 0; i < Match::kMaps; i++) {
        const int wrong = kOne / (Match::length_class_of(i) + 2);
        match[i] = StateMap::of(Match::bit_expected_of(i) ? kOne - wrong : wrong, 2);
      }
    for (auto &map : c.network_maps) map = StateMap::of(kOne / 2, 0);
    for (auto &row : c.weights) {
      for (int i = 0; i < kUsedInputs; i++) row[i] = kWeightOne * 16 / 100;
      row[kNetworkInput] = row[kNetworkInput + 1] = kWeightOne / 4;
    }
    for (auto &row : c.weights_of_sets)
      for (auto &weight : row) weight = kOne / kSets;
    for (auto &stage : c.apms)
      for (int i = 0; i < kAPMContexts; i++) APM::start(stage[i]);
  }

  FullSlot *full_slots() { return (FullSlot *)(data() + sizeof(Counters)); }
  LightSlot *light_slots() { return (LightSlot *)(full_slots() + ((size_t)1 << full_bits_)); }
  static uint32_t home_of(uint32_t key, int bits) { return (key * 0x2545F491u) >> (32 - bits); }

  static int seen(const FullSlot &slot) { return slot.node[0].count; }
  static int seen(const LightSlot &slot) { return kBitHistories.seen(slot.history[0]); }
  static void clear(FullSlot &slot) {
    for (Node &node : slot.node) node = {kOne / 2, 0, 0};
  }
  static void clear(LightSlot &slot) { memset(slot.history, 0, sizeof slot.history); }

  // The slot of a context; where there is none, that of three neighbours which has seen least is cleared for it.
  template <class Slot>
  Slot *find(Slot *slots, int bits, uint32_t key) {
    const uint32_t home = home_of(key, bits);
    auto check = (decltype(slots->check))key;
    if (!check) check = 1;
    Slot *least = nullptr;
    int least_seen = 1 << 30;
    for (uint32_t i = 0; i < 3; i++) {
      Slot *slot = slots + (home ^ i);
      if (slot->check == check) return slot;
      const int n = slot->check ? seen(*slot) + 1 : 0;
      if (n < least_seen) least = slot, least_seen = n;
    }
    keep(least);
    least->check = check;
    clear(*least);
    return least;
  }

  int full_bits_, light_bits_;
  size_t size_;
  std::unique_ptr<Workspace> block_;
  std::unique_ptr<Undo> undo_;
};

}  // namespace charloom
