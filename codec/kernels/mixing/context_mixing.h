// Context mixing, as in PAQ and lpaq: predicts the next decision of a byte (byte_tree.h) from the context models, the
// match models and the network, and updates all of them with its value, a bit.
//
// Each context has slots of 15 nodes, which describe the bits that followed it. The predictions of nodes, two match
// models and the network are mixed as logits by several weight sets, each selected by another property of the context.
// The outputs of the sets are mixed by a final weight set, APMs refine the result, and the corrector corrects it if the
// network predicts.
#pragma once
#include <cstdlib>

#include "mixing/corrector.h"
#include "mixing/learning_rate.h"
#include "mixing/slots.h"
#include "network/network_prediction.h"

namespace charloom {

class ContextMixing {
 public:
  // corrector: null for version 1 of the engine, which has none.
  ContextMixing(const CodecKernels &kernels, const MixingRules &rules, const Corrector *corrector,
                const ByteTrees &trees, Memory &memory, const TextBuffer &buffer)
      : kernels_(kernels),
        memory_(memory),
        c_(memory.counters()),
        buffer_(buffer),
        trees_(trees),
        rules_(rules),
        rate_(rules),
        correction_(kernels, corrector, memory) {
    mixer_.inputs[kConstantInput] = 256;
    correction_.inputs.mixer = mixer_.inputs;
  }

  // The inputs of the corrector refer to those of the mixer.
  ContextMixing(ContextMixing &&) = delete;

  // The order of the statements hides cache misses: the match models' text is prefetched, slots are found, then the
  // text is read.
  void start_byte(Lane &lane, NetworkPrediction &network) {
    if (lane.position == lane.start) start_contexts(lane);
    for (int k = 0; k < kMatches; k++) lane.matches[k].prefetch_text(buffer_.text, c_.match_tables[k]);
    find_slots(memory_, lane);
    for (int k = 0; k < kMatches; k++)
      lane.matches[k].update(buffer_, lane.position, lane.start, kMatchLengths[k], c_.match_tables[k],
                             [&](const uint32_t *entry) { memory_.save(entry); });
    network.start_byte();
    lane.at = ByteTree::kRoot;
    narrow(lane, network);
    // Long before the first four decisions are known: memory takes longer than a decision.
    if (network.predicts()) prefetch_slots_at(lane, lane.tree->after_four(network.likeliest_byte()));
    rate_.start_byte(memory_, network.predicts());
  }

  int predict(Lane &lane, const NetworkPrediction &network) {
    const ByteTree::Node &node = lane.node();
    uint16_t *const of_last = apm_of_last(lane, node), *const of_last3 = apm_of_last3(lane, node);
    for (const int next : node.next)
      if (!ByteTree::is_byte(next)) prefetch_apms(lane, (*lane.tree)[next]);
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
    if (correction_.start(network.predicts() && p >= rules_.certain && p <= kOne - rules_.certain)) {
      set_corrector_inputs(logit, p, refined, {node.depth, order, length, network.confidence()});
      p = correction_.correct(p);
    }
    // Prefetches the next slots on the assumption that the likelier decision is right.
    if (lane.is_at_end_of_slots()) prefetch_slots_at(lane, node.next[p > kOne / 2]);
    return p;
  }

  bool has_corrector() const { return correction_.has_corrector(); }
  // Returns the inputs of the last prediction; null if it was not corrected.
  const CorrectorInputs *corrector_inputs() const {
    return correction_.has_corrected() ? &correction_.inputs : nullptr;
  }

  void update(Lane &lane, NetworkPrediction &network, int bit) {
    const bool needs_slots = lane.take(bit);
    if (needs_slots) {
      for (uint32_t &context : lane.context) context = next_slot(context, lane.node().id);
      prefetch_slots(memory_, lane.context);
    }
    if (memory_.is_logging()) save_changes();
    const int target = bit << 16, error = target - mixed_;
    if (std::abs(error) >= rules_.certain) kernels_.train(mixer_, target, error, rate_.value());
    update_slots(bit);
    for (APM &stage : apms_) APM::update(stage.nearer(), bit, rules_.apm_rate);
    correction_.update(target);
    if (lane.has_byte()) return;
    narrow(lane, network);
    if (needs_slots) find_slots(memory_, lane);
  }

  // To be called when the lane has its byte. The caller then steps the network if it has a complete token.
  uint8_t end_byte(Lane &lane) {
    const uint8_t byte = lane.byte();
    buffer_.text[lane.position++] = byte;
    lane.text.update(byte, lane.position);
    start_contexts(lane);
    prefetch_slots(memory_, lane.context);
    prefetch_apms(lane, (*lane.tree)[ByteTree::kRoot]);
    for (int k = 0; k < kMatches; k++)
      lane.matches[k].prefetch_entry(buffer_.text, lane.position, lane.start, kMatchLengths[k], c_.match_tables[k]);
    return byte;
  }

 private:
  static constexpr int kMatchLengths[kMatches] = {6, 16};

  // Sets the tree and the contexts of the next byte.
  void start_contexts(Lane &lane) {
    const uint8_t last = (uint8_t)lane.text.last4;
    lane.tree = &trees_.after(last);
    make_contexts(lane.text, buffer_.text, lane.position, trees_.number_after(last), lane.context);
  }
  static void narrow(const Lane &lane, NetworkPrediction &network) {
    const ByteTree::Node &node = lane.node();
    network.narrow(node.first, node.middle, node.last);
  }
  // at: a node, or a byte, which has no slots.
  void prefetch_slots_at(const Lane &lane, int at) {
    if (!ByteTree::is_byte(at)) prefetch_next_slots(memory_, lane, (*lane.tree)[at].id);
  }

  // Adds the prediction of a StateMap to the inputs.
  void add_map(int number, int map) {
    maps_[number] = map;
    const uint32_t bits = c_.maps[map].bits;
    probabilities_.maps[number] = bits;
    memcpy(mixer_.inputs + 2 * number, &kLogistic.inputs[bits >> 16], sizeof kLogistic.inputs[0]);
  }

  // Adds the predictions of the slots to the inputs. Returns the number of orders that were seen before.
  int add_contexts(const Lane &lane) {
    const int node = lane.node_of_slot();
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
    const ByteTree::Node &node = lane.node();
    Expected longest = {0, 0};
    for (int k = 0; k < kMatches; k++) {
      const Match &match = lane.matches[k];
      const int expected = match.expected(buffer_), byte = expected & 255;
      int map = Memory::kUnusedMap;
      if (expected && byte >= node.first && byte < node.last) {
        map = Memory::kMatchMaps + k * Match::kMaps + match.map(byte >= node.middle, k ? 0 : node.depth);
        if (match.length_class() + 1 > longest.length) longest = {expected, match.length_class() + 1};
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
    add_map(kNetworkMap, Memory::kNetworkMaps + logit_step * 64 + network.confidence() * 8 + lane.node().depth);
    int16_t *const x = mixer_.inputs + 2 * kNetworkMap;
    x[1] = x[0];
    x[0] = (int16_t)logit;
    return logit_step;
  }

  // Selects one row of each weight set by the contexts of the mixer.
  void choose_weights(const Lane &lane, const NetworkPrediction &network, int order, int length, int logit_step) {
    const int depth = lane.node().depth, last = lane.text.last4 & 0xff, before = lane.text.last4 >> 8 & 0xff;
    const int confidence = network.confidence();
    const int length_class = length > 7 ? (length > 12 ? 9 : 8) : length;
    const int half_length = length / 2 < 7 ? length / 2 : 7;
    const int chosen[kSets] = {length_class * 64 + order * 8 + confidence,
                               lane.node().id + 256 * trees_.number_after(last) + kNodeIds * network.is_likeliest(),
                               last,
                               (depth * 16 + order) * 8 + half_length,
                               logit_step * 64 + confidence * 8 + depth,
                               before * 8 + depth,
                               network.likeliest_byte()};
    for (int s = 0, first = 0; s < kSets; first += kSetSizes[s++]) mixer_.weights[s] = c_.weights[first + chosen[s]];
    mixer_.final_weights = c_.weights_of_sets[(order * 8 + depth) + 64 * confidence];
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

  // Return the points of an APM.
  uint16_t *apm_of_last(const Lane &lane, const ByteTree::Node &node) {
    return c_.apms[0][node.id | (lane.text.last4 & 0xff) << 8];
  }
  uint16_t *apm_of_last3(const Lane &lane, const ByteTree::Node &node) {
    return c_.apms[1][hash(lane.text.last4 & 0xffffff, node.id) & 0xffff];
  }
  void prefetch_apms(const Lane &lane, const ByteTree::Node &node) {
    for (const uint16_t *points : {apm_of_last(lane, node), apm_of_last3(lane, node)}) {
      __builtin_prefetch(points, 1);
      __builtin_prefetch(points + APM::kPoints - 1, 1);
    }
  }

  const CodecKernels &kernels_;
  Memory &memory_;
  Memory::Counters &c_;
  const TextBuffer &buffer_;
  const ByteTrees &trees_;
  const MixingRules &rules_;
  LearningRate rate_;
  // The values of the last prediction, which update() needs:
  Mixer mixer_ = {};
  Probabilities probabilities_ = {};
  int maps_[kStateMaps];                             // their places in Counters::maps
  uint8_t *histories_[kContexts], seen_[kContexts];  // addresses of the bit histories, and their values
  Node *nodes_[kFull];
  int mixed_ = 0;
  APM apms_[kAPMs];
  CorrectionStage correction_;
};

}  // namespace charloom
