// Context mixing, as in PAQ and lpaq: predicts the next bit from the context models, the match models and the network,
// and updates all of them with the bit.
//
// Each context has a slot of 15 nodes, which describe the bits that followed it. The predictions of nodes, two match
// models and the network are mixed as logits by several weight sets, each selected by another property of the context.
// The outputs of the sets are mixed by a final weight set, APMs refine the result, and the corrector corrects it if the
// network predicts.
#pragma once
#include "mixing/corrector.h"
#include "mixing/slots.h"
#include "network/network_prediction.h"

namespace charloom {

class ContextMixing {
 public:
  // corrector: null for version 1 of the engine, which has none.
  ContextMixing(const CodecKernels &kernels, const Corrector *corrector, Memory &memory, const TextBuffer &buffer)
      : kernels_(kernels),
        memory_(memory),
        c_(memory.counters()),
        buffer_(buffer),
        correction_(kernels, corrector, memory) {
    mixer_.inputs[kConstantInput] = 256;
    correction_.inputs.mixer = mixer_.inputs;
  }

  // The inputs of the corrector refer to those of the mixer.
  ContextMixing(ContextMixing &&) = delete;

  // The order of the statements hides cache misses: the match models' text is prefetched, slots are found, then the
  // text is read.
  void start_byte(Lane &lane, NetworkPrediction &network) {
    if (lane.position == lane.start) make_contexts(lane.text, buffer_.text, lane.position, lane.context);
    for (int k = 0; k < kMatches; k++) lane.matches[k].prefetch_text(buffer_.text, c_.match_tables[k]);
    find_slots(memory_, lane);
    for (int k = 0; k < kMatches; k++)
      lane.matches[k].update(buffer_, lane.position, lane.start, kMatchLengths[k], c_.match_tables[k],
                             [&](const uint32_t *entry) { memory_.save(entry); });
    network.start_byte();
    lane.bit = 0;
    lane.partial = 1;
    // Long before the second half is known: memory takes longer than a bit.
    if (network.predicts()) prefetch_second_half(memory_, lane, 16 | network.likeliest_byte() >> 4);
    set_rate(network);
  }

  int predict(Lane &lane, const NetworkPrediction &network) {
    const int partial = lane.partial;
    uint16_t *const of_last = apm_of_last(lane, partial), *const of_last3 = apm_of_last3(lane, partial);
    for (int bit = 0; bit < 2 && lane.bit < 7; bit++) {
      prefetch(apm_of_last(lane, 2 * partial + bit));
      prefetch(apm_of_last3(lane, 2 * partial + bit));
    }
    const int order = add_contexts(lane);
    const auto [expected, length] = add_matches(lane);
    const int logit_step = add_network(lane, network);
    uint16_t *const of_expected = c_.apms[2][(expected & 255) * 64 + length * 2];
    choose_weights(lane, network, order, length, logit_step);
    const int logit = kernels_.mix(mixer_);
    mixed_ = squash(logit);
    for (int s = 0; s < kSets; s++) mixer_.probabilities[s] = squash(mixer_.outputs[s]);
    const int refined[kAPMs] = {apms_[0].p(of_last, logit), apms_[1].p(of_last3, logit),
                                apms_[2].p(of_expected, logit)};
    int p = (mixed_ + refined[0] + refined[1] + refined[2] + 2) >> 2;
    p = p < 1 ? 1 : p > kOne - 1 ? kOne - 1 : p;
    if (correction_.start(network.predicts())) {
      set_corrector_inputs(logit, p, refined, {lane.bit, order, length, network.confidence()});
      p = correction_.correct(p);
    }
    // Prefetches the slots of the second half on the assumption that the likelier bit ends the first half.
    if (lane.bit == 3) prefetch_second_half(memory_, lane, partial * 2 + (p > kOne / 2));
    return p;
  }

  bool has_corrector() const { return correction_.has_corrector(); }
  const CorrectorInputs &corrector_inputs() const { return correction_.inputs; }  // of the last prediction

  void update(Lane &lane, NetworkPrediction &network, int bit) {
    lane.partial = lane.partial * 2 + bit;
    if (++lane.bit == 4) {
      for (uint32_t &context : lane.context) context = second_half(context, lane.partial);
      prefetch_slots(memory_, lane.context);
    }
    if (memory_.is_logging()) save_changes();
    const int target = bit << 16;
    kernels_.train(mixer_, target, target - mixed_, rate_);
    update_slots(bit);
    for (APM &stage : apms_) APM::update(stage.nearer(), bit);
    correction_.update(target);
    network.update(bit);
    if (lane.bit == 4) find_slots(memory_, lane);
  }

  // To be called after eight bits. The caller then steps the network if it has a complete token.
  uint8_t end_byte(Lane &lane) {
    const uint8_t byte = (uint8_t)lane.partial;
    buffer_.text[lane.position++] = byte;
    lane.text.update(byte, lane.position);
    make_contexts(lane.text, buffer_.text, lane.position, lane.context);
    prefetch_slots(memory_, lane.context);
    prefetch(apm_of_last3(lane, 1));
    prefetch(apm_of_last(lane, 1));
    for (int k = 0; k < kMatches; k++)
      lane.matches[k].prefetch_entry(buffer_.text, lane.position, lane.start, kMatchLengths[k], c_.match_tables[k]);
    return byte;
  }

 private:
  static constexpr int kInitialRate = 655, kNetworkRate = 328, kFinalRate = 100;  // see CodecKernels::train
  static constexpr uint32_t kMaxCountedBytes = 1 << 30;
  static constexpr int kMatchLengths[kMatches] = {6, 16};

  // Adds the prediction of a StateMap to the inputs.
  void add_map(int number, int map) {
    maps_[number] = map;
    const uint32_t bits = c_.maps[map].bits;
    probabilities_.maps[number] = bits;
    memcpy(mixer_.inputs + 2 * number, &kLogistic.inputs[bits >> 16], sizeof kLogistic.inputs[0]);
  }

  // Adds the predictions of the slots to the inputs. Returns the number of orders that were seen before.
  int add_contexts(const Lane &lane) {
    const int in_half = lane.bit & 3, node = (1 << in_half) - 1 + (lane.partial & ((1 << in_half) - 1));
    int order = 0;
    for (int i = 0; i < kContexts; i++) {
      if (i < kFull) {
        nodes_[i] = &lane.full[i]->node[node];
        probabilities_.nodes[i] = word_of(*nodes_[i]);
        mixer_.inputs[kNodeInput + i] = (int16_t)stretch(nodes_[i]->p);
        histories_[i] = &nodes_[i]->history;
      } else {
        histories_[i] = &lane.light[i]->history[node];
      }
      const int history = seen_[i] = *histories_[i];
      add_map(i, history ? i * 256 + history : (int)Memory::kUnusedMap);
      order += history && i > 0 && i < kOrders;
    }
    return order;
  }

  struct Expected {
    int byte, length;  // the byte | 256, and 1 + the length class of the longest match; 0 without a match
  };

  // Adds the predictions of the match models to the inputs. Returns the expectation of the longest match.
  Expected add_matches(const Lane &lane) {
    Expected longest{0, 0};
    for (int k = 0; k < kMatches; k++) {
      const Match &match = lane.matches[k];
      const int byte = match.expected(buffer_);
      int map = Memory::kUnusedMap;
      if (byte && byte >> (8 - lane.bit) == lane.partial) {
        map = Memory::kMatchMaps + k * Match::kMaps + match.map(byte >> (7 - lane.bit) & 1, k ? 0 : lane.bit);
        if (match.length_class() + 1 > longest.length) longest = {byte, match.length_class() + 1};
      }
      add_map(kMatchMap + k, map);
    }
    return longest;
  }

  // Adds the network's prediction to the inputs. Returns the quantized logit of the network, 0 without one.
  int add_network(const Lane &lane, const NetworkPrediction &network) {
    if (!network.predicts()) {
      add_map(kNetworkMap, Memory::kUnusedMap);
      return 0;
    }
    const int logit = stretch(network.p());
    const int logit_step = (logit + kLogitLimit) * (kLogitSteps - 1) / (2 * kLogitLimit);
    add_map(kNetworkMap, Memory::kNetworkMaps + logit_step * 64 + network.confidence() * 8 + lane.bit);
    int16_t *const x = mixer_.inputs + 2 * kNetworkMap;
    x[1] = x[0];
    x[0] = (int16_t)logit;
    return logit_step;
  }

  // Selects one row of each weight set by the contexts of the mixer.
  void choose_weights(const Lane &lane, const NetworkPrediction &network, int order, int length, int logit_step) {
    const int bit = lane.bit, last = lane.text.last4 & 0xff, before = lane.text.last4 >> 8 & 0xff;
    const int confidence = network.confidence();
    const int length_class = length > 7 ? (length > 12 ? 9 : 8) : length;
    const int half_length = length / 2 < 7 ? length / 2 : 7;
    const int chosen[kSets] = {length_class * 64 + order * 8 + confidence,
                               lane.partial + 256 * network.is_likeliest(),
                               last,
                               (bit * 16 + order) * 8 + half_length,
                               logit_step * 64 + confidence * 8 + bit,
                               before * 8 + bit,
                               network.likeliest_byte()};
    for (int s = 0, first = 0; s < kSets; first += kSetSizes[s++]) mixer_.weights[s] = c_.weights[first + chosen[s]];
    mixer_.final_weights = c_.weights_of_sets[(order * 8 + bit) + 64 * confidence];
  }

  void set_corrector_inputs(int logit, int p, const int (&refined)[kAPMs], const int (&category)[kCategories]) {
    int16_t *x = correction_.inputs.stages;
    for (int s = 0; s < kSets; s++) *x++ = (int16_t)mixer_.outputs[s];
    *x++ = (int16_t)logit;
    *x++ = (int16_t)stretch(p);
    for (int of_stage : refined) *x++ = (int16_t)stretch(of_stage);
    for (const uint8_t history : seen_) *x++ = correction_.corrector().log_total_of(history);
    for (const Node *node : nodes_) *x++ = correction_.corrector().log_count(node->count);
    memcpy(correction_.inputs.category, category, sizeof category);
  }

  // Updates the slots and the StateMaps. Contexts whose hashes collide share a slot: the later one finds there what the
  // earlier one has left.
  void update_slots(int bit) {
    for (int i = 0; i < kContexts; i++) {
      const int history = *histories_[i];
      if (history != seen_[i]) {
        add_map(i, i * 256 + history);
        memory_.save(&c_.maps[maps_[i]]);
      }
      *histories_[i] = (uint8_t)kBitHistoryTable.next(history, bit);
    }
    Probabilities updated;
    kernels_.adapt(probabilities_, bit, updated);
    for (int i = 0; i < kStateMaps; i++) c_.maps[maps_[i]].bits = updated.maps[i];
    c_.maps[Memory::kUnusedMap] = StateMap::make(kOne / 2, 0);
    for (int i = 0; i < kNodes; i++) {
      Node &node = *nodes_[i];
      if (word_of(node) != probabilities_.nodes[i]) {
        Probabilities shared = {}, of_shared;
        shared.nodes[i] = word_of(node);
        kernels_.adapt(shared, bit, of_shared);
        updated.nodes[i] = of_shared.nodes[i];
      }
      node.p = (uint16_t)updated.nodes[i];
      node.count = (uint8_t)(updated.nodes[i] >> 16);
    }
  }
  // See Probabilities::nodes.
  static uint32_t word_of(const Node &node) { return node.p | (uint32_t)node.count << 16; }

  // Saves what update() changes in the memory. A node is within the line of its bit history.
  void save_changes() {
    memory_.save(mixer_.final_weights, kSets + 1);
    for (const int16_t *weights : mixer_.weights) memory_.save(weights, kInputs);
    for (int map : maps_) memory_.save(&c_.maps[map]);
    for (const uint8_t *history : histories_) memory_.save(history);
    for (const APM &stage : apms_) memory_.save(stage.nearer());
  }

  // The learning rate decays with the number of bytes. It rises again when the network predicts for the first time,
  // because its weights are new.
  void set_rate(const NetworkPrediction &network) {
    if (network.predicts() && !c_.bytes_with_network) memory_.initialize_network_weights();
    memory_.save(&c_.bytes_read);
    memory_.save(&c_.bytes_with_network);
    rate_ = rate_after(c_.bytes_read++, kInitialRate, 20000);
    if (!network.predicts()) return;
    const int after_network = rate_after(c_.bytes_with_network++, kNetworkRate, 2000);
    if (rate_ < after_network) rate_ = after_network;
  }
  // Decays from `first` to kFinalRate; after half_way bytes, half of the decay has happened.
  static int rate_after(uint32_t bytes, int first, int half_way) {
    const int n = bytes < kMaxCountedBytes ? (int)bytes : (int)kMaxCountedBytes;
    return kFinalRate + (first - kFinalRate) * half_way / (half_way + n);
  }

  // Return the points of an APM.
  uint16_t *apm_of_last(const Lane &lane, int partial) { return c_.apms[0][partial | (lane.text.last4 & 0xff) << 8]; }
  uint16_t *apm_of_last3(const Lane &lane, int partial) {
    return c_.apms[1][hash(lane.text.last4 & 0xffffff, partial) & 0xffff];
  }
  static void prefetch(const uint16_t *points) {
    __builtin_prefetch(points, 1);
    __builtin_prefetch(points + APM::kPoints - 1, 1);
  }

  const CodecKernels &kernels_;
  Memory &memory_;
  Memory::Counters &c_;
  const TextBuffer &buffer_;
  // The values of the last prediction, which update() needs:
  Mixer mixer_ = {};
  Probabilities probabilities_ = {};
  int maps_[kStateMaps];                             // their places in Counters::maps
  uint8_t *histories_[kContexts], seen_[kContexts];  // addresses of the bit histories, and their values
  Node *nodes_[kFull];
  int mixed_ = 0, rate_ = 0;
  APM apms_[kAPMs];
  CorrectionStage correction_;
};

}  // namespace charloom
