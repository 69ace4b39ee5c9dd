// The learned state of the mixture: one block of memory without pointers, so that it can be copied, and restored by an
// undo log, as bytes.
#pragma once
#include <cstring>
#include <memory>
#include <vector>

#include "codec_kernels.h"
#include "mixing/bit_history.h"
#include "mixing/byte_tree.h"
#include "mixing/match.h"
#include "runtime/workspace.h"

namespace charloom {

// A node of a frequent context: a probability that the bit is 1, beside the bit history. It adapts as a StateMap does,
// but no closer to 0 or 1 than 32 / 2^16.
struct Node {
  uint16_t p;
  uint8_t history;  // see BitHistoryTable; 0: no bit seen
  uint8_t count;    // bits seen, at most 250: the rate at which p adapts
};

// The 15 nodes of four decisions of a byte in one context: of the first one, then two, four and eight. Slots are found
// by a hash of the context and verified by a check. Contexts that seldom recur have light slots, with bit histories
// alone, in a quarter of the memory.
struct FullSlot {
  uint16_t check;  // of the context; 0: the slot is free
  uint16_t unused;
  Node node[15];
};
struct LightSlot {
  uint8_t check;
  uint8_t history[15];
};
// A slot never crosses a cache line.
static_assert(sizeof(FullSlot) == 64 && sizeof(LightSlot) == 16);

enum : int {
  kMatches = 2,
  // StateMaps of a prediction: one of each context, one of each match model, one of the network.
  kMatchMap = kContexts,
  kNetworkMap = kMatchMap + kMatches,
  // Inputs of the mixer: two of each StateMap, then one of each node, and a constant.
  kNodeInput = 2 * kStateMaps,
  kConstantInput = kNodeInput + kNodes,
  kLengthClasses = 10,  // of the longest match; 0: no match
  kLogitSteps = 32,     // steps of the network's logit
  kAPMs = 3,
};
constexpr int kNodeIds = ByteTrees::kClasses * 256;  // of the nodes of all trees
// Number of weight vectors of each weight set; ContextMixing::predict selects one of each.
constexpr int kSetSizes[kSets] = {kLengthClasses * 64, 2 * kNodeIds, 256, 8 * 16 * 8, kLogitSteps * 64, 256 * 8, 256};
constexpr int first_row_of(int set) { return set ? first_row_of(set - 1) + kSetSizes[set - 1] : 0; }
static_assert(kNetworkMap + 1 == kStateMaps && kFull == kNodes && kConstantInput + 1 == kUsedInputs);
constexpr int kAPMContexts = 1 << 16;  // contexts of each APM

// An undo log: saves each line of a block of memory before it is changed for the first time, and restores them all.
class UndoLog {
 public:
  UndoLog(uint8_t *block, size_t size) : block_(block), is_saved_((size + kLine - 1) / kLine) {}

  // Saves from now on, until the log exceeds max_bytes.
  void start(size_t max_bytes) {
    max_lines_ = max_bytes / kLine;
    is_active_ = true;
  }

  // Returns whether the log is still active.
  bool save(const void *from, size_t size) {
    const size_t first = ((const uint8_t *)from - block_) / kLine;
    const size_t last = ((const uint8_t *)from - block_ + size - 1) / kLine;
    for (size_t i = first; i <= last; i++) {
      if (is_saved_[i]) continue;
      Line line{i, {}};
      memcpy(line.bytes, block_ + i * kLine, kLine);
      // Before the flag is set: if there is no memory for the line, it must not count as saved.
      saved_.push_back(line);
      is_saved_[i] = true;
    }
    // The log has become too long: it can no longer restore the block, so its memory is released.
    if (saved_.size() <= max_lines_) return true;
    is_active_ = false;
    saved_ = {};
    return false;
  }

  // Restores the block and returns true, or returns false if the log has become too long.
  bool restore() {
    if (!is_active_) return false;
    for (const Line &line : saved_) {
      memcpy(block_ + line.number * kLine, line.bytes, kLine);
      is_saved_[line.number] = false;
    }
    saved_.clear();
    return true;
  }

 private:
  static constexpr size_t kLine = 64;
  struct Line {
    size_t number;
    uint8_t bytes[kLine];
  };

  uint8_t *block_;
  std::vector<bool> is_saved_;
  std::vector<Line> saved_;
  size_t max_lines_ = 0;
  bool is_active_ = false;
};

class Memory {
 public:
  // All StateMaps: of each context, one for each bit history; of each match model; of the network; and one that stands
  // for a prediction that is missing, which is always 1/2.
  enum : int {
    kMatchMaps = kContexts * 256,
    kNetworkMaps = kMatchMaps + kMatches * Match::kMaps,
    kUnusedMap = kNetworkMaps + kLogitSteps * 64,
  };
  struct Counters {
    alignas(64) StateMap maps[kUnusedMap + 1];
    alignas(64) int16_t weights[first_row_of(kSets)][kInputs];
    int32_t weights_of_sets[8 * 64][8];
    uint16_t apms[kAPMs][kAPMContexts][APM::kPoints];
    int32_t correction[2];  // weights of the prediction and of its correction; 1.0 is 2^16
    uint32_t match_tables[kMatches][1 << Match::kHashBits];
    alignas(64) uint32_t bytes_read;
    uint32_t bytes_with_network;  // bytes while the network predicted
  };

  // Allocates 2^full_bits full slots and 2^light_bits light slots.
  Memory(int full_bits, int light_bits)
      : full_bits_(full_bits),
        light_bits_(light_bits),
        size_(sizeof(Counters) + (sizeof(FullSlot) << full_bits) + (sizeof(LightSlot) << light_bits)),
        block_(std::make_unique<Workspace>(size_)) {
    memset(data(), 0, size_);
    initialize();
  }
  Memory(Memory &&) = default;
  // The copy has no undo log.
  Memory(const Memory &other)
      : full_bits_(other.full_bits_),
        light_bits_(other.light_bits_),
        size_(other.size_),
        block_(std::make_unique<Workspace>(size_)) {
    memcpy(data(), other.data(), size_);
  }

  Counters &counters() { return *(Counters *)data(); }
  FullSlot *find_full(uint32_t key) { return find(full_slots(), full_bits_, key); }
  LightSlot *find_light(uint32_t key) { return find(light_slots(), light_bits_, key); }
  // To be called some time before find_full() and find_light() with the same key: the slots are seldom in a cache.
  void prefetch_full(uint32_t key) { __builtin_prefetch(full_slots() + home_index(key, full_bits_), 1); }
  void prefetch_light(uint32_t key) { __builtin_prefetch(light_slots() + home_index(key, light_bits_), 1); }

  // Read a slot, so that the processor waits for it; prefetches may be dropped.
  void touch_full(uint32_t key) { (void)*(volatile uint16_t *)&full_slots()[home_index(key, full_bits_)].check; }
  void touch_light(uint32_t key) { (void)*(volatile uint8_t *)&light_slots()[home_index(key, light_bits_)].check; }

  // To be called before the network predicts for the first time. Weight vectors that are selected by the network's
  // prediction start as copies of those that were trained without it.
  void initialize_network_weights() {
    Counters &c = counters();
    save(&c.weights);
    save(&c.weights_of_sets);
    // Copies the first `block` rows of each `step` rows over the others.
    auto copy_rows = [&](int set, int step, int block) {
      int16_t (*rows)[kInputs] = c.weights + first_row_of(set);
      for (int i = 0; i < kSetSizes[set]; i++) {
        const int from = i / step * step + i % block;
        if (from != i) memcpy(rows[i], rows[from], sizeof *rows);
      }
    };
    copy_rows(0, 8, 1);                    // confidence
    copy_rows(1, 2 * kNodeIds, kNodeIds);  // whether the likeliest token is still possible
    copy_rows(4, kLogitSteps * 64, 8);     // logit and confidence
    copy_rows(6, 256, 1);                  // first byte of the likeliest token
    for (int i = 64; i < 8 * 64; i++)
      memcpy(c.weights_of_sets[i], c.weights_of_sets[i % 64], sizeof c.weights_of_sets[i]);
  }

  // From now on, changes that are announced by save() can be undone, as long as they affect at most max_bytes.
  void start_undo_log(size_t max_bytes) {
    if (!undo_) undo_ = std::make_unique<UndoLog>(data(), size_);
    undo_->start(max_bytes);
    is_logging_ = true;
  }
  // Returns whether the state of start_undo_log() is restored.
  bool undo() { return undo_ && undo_->restore(); }
  bool is_logging() const { return is_logging_; }
  // To be called before anything in the block is changed.
  template <class T>
  void save(const T *changed, size_t count = 1) {
    if (is_logging_) is_logging_ = undo_->save(changed, count * sizeof(T));
  }

 private:
  uint8_t *data() const { return (uint8_t *)block_->data(); }

  void initialize() {
    Counters &c = counters();
    for (int i = 0; i < kContexts; i++)
      for (int s = 0; s < kBitHistoryTable.num_states(); s++) {
        const int zeros = kBitHistoryTable.zeros(s), ones = kBitHistoryTable.ones(s);
        c.maps[i * 256 + s] = StateMap::make((5 * ones + 2) * kOne / (5 * (zeros + ones) + 4), 6);
      }
    for (int k = 0; k < kMatches; k++)
      for (int i = 0; i < Match::kMaps; i++) {
        const int wrong = kOne / (Match::length_class_of(i) + 2);
        c.maps[kMatchMaps + k * Match::kMaps + i] = StateMap::make(Match::bit_expected_of(i) ? kOne - wrong : wrong, 2);
      }
    for (int i = kNetworkMaps; i <= kUnusedMap; i++) c.maps[i] = StateMap::make(kOne / 2, 0);
    for (auto &row : c.weights) {
      for (int i = 0; i < kUsedInputs; i++) row[i] = kWeightOne * 16 / 100;
      // The weights of the network start higher than those of a context.
      row[2 * kNetworkMap] = row[2 * kNetworkMap + 1] = kWeightOne / 4;
    }
    for (auto &row : c.weights_of_sets)
      for (auto &weight : row) weight = kOne / kSets;
    c.correction[0] = c.correction[1] = kOne;
    for (auto &stage : c.apms)
      for (int i = 0; i < kAPMContexts; i++) APM::initialize(stage[i]);
  }

  FullSlot *full_slots() { return (FullSlot *)(data() + sizeof(Counters)); }
  LightSlot *light_slots() { return (LightSlot *)(full_slots() + ((size_t)1 << full_bits_)); }
  static uint32_t home_index(uint32_t key, int bits) { return (key * 0x2545F491u) >> (32 - bits); }

  // The priority of a slot when one must be replaced: the bits that its first node has seen.
  static int priority(const FullSlot &slot) { return slot.node[0].count; }
  static int priority(const LightSlot &slot) { return kBitHistoryTable.total(slot.history[0]); }
  static void clear(FullSlot &slot) {
    for (Node &node : slot.node) node = {kOne / 2, 0, 0};
  }
  static void clear(LightSlot &slot) { memset(slot.history, 0, sizeof slot.history); }

  // Returns the slot of a context. If it has none, one of three slots is replaced and cleared, that of the lowest
  // priority.
  template <class Slot>
  Slot *find(Slot *slots, int bits, uint32_t key) {
    const uint32_t home = home_index(key, bits);
    auto check = (decltype(slots->check))key;
    if (!check) check = 1;  // 0 marks a free slot
    Slot *victim = nullptr;
    int lowest_priority = 1 << 30;
    for (uint32_t i = 0; i < 3; i++) {
      // XOR keeps the three within one group of four slots.
      Slot *slot = slots + (home ^ i);
      if (slot->check == check) return slot;
      const int n = slot->check ? priority(*slot) + 1 : 0;
      if (n < lowest_priority) victim = slot, lowest_priority = n;
    }
    save(victim);
    victim->check = check;
    clear(*victim);
    return victim;
  }

  int full_bits_, light_bits_;
  size_t size_;
  std::unique_ptr<Workspace> block_;
  std::unique_ptr<UndoLog> undo_;
  bool is_logging_ = false;  // whether undo_ is active; here, because it is read many times for each bit
};

}  // namespace charloom
