// Context mixing, as in PAQ and lpaq: predicts the next bit from the context models, the match models and the network,
// and updates all of them with the bit.
//
// Each context has a slot of 15 nodes, which describe the bits that followed it. The predictions of nodes, two match
// models and the network are mixed as logits by several weight sets, each selected by another property of the context.
// The outputs of the sets are mixed by a final weight set, APMs refine the result, and the corrector corrects it if the
// network predicts.
#pragma once
#include "mixing/corrector.h"
#include "mixing/lane.h"
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
        correction_(kernels, corrector, memory) {}

  // The order of the statements hides cache misses: the match models' text is prefetched, slots are found, then the
  // text is read.
  void start_byte(Lane &lane, NetworkPrediction &network) {
    if (lane.position == lane.start) make_contexts(lane.text, buffer_.text, lane.position, lane.context);
    for (int k = 0; k < kMatches; k++) lane.matches[k].prefetch_text(buffer_.text, c_.match_tables[k]);
    find_slots(lane);
    for (int k = 0; k < kMatches; k++)
      lane.matches[k].update(buffer_, lane.position, lane.start, kMatchLengths[k], c_.match_tables[k],
                             [&](const uint32_t *entry) { memory_.save(entry); });
    network.start_byte();
    lane.bit = 0;
    lane.partial = 1;
    set_rate(network);
  }

  int predict(Lane &lane, const NetworkPrediction &network) {
    const int partial = lane.partial;
    uint16_t *const of_last = apm_points(0, partial | (lane.text.last4 & 0xff) << 8);
    uint16_t *const of_last3 = apm_points(1, hash(lane.text.last4 & 0xffffff, partial) & 0xffff);
    const int order = add_contexts(lane);
    const auto [expected, length] = add_matches(lane);
    const int logit_step = add_network(lane, network);
    uint16_t *const of_expected = apm_points(2, (expected & 255) * 64 + length * 2);
    choose_weights(lane, network, order, length, logit_step);
    const int logit = mix();
    mixed_ = squash(logit);
    const int refined[kAPMs] = {apms_[0].p(of_last, logit), apms_[1].p(of_last3, logit),
                                apms_[2].p(of_expected, logit)};
    int p = (mixed_ + refined[0] + refined[1] + refined[2] + 2) >> 2;
    p = p < 1 ? 1 : p > kOne - 1 ? kOne - 1 : p;
    if (correction_.start(network.predicts())) {
      set_corrector_inputs(logit, p, refined, {lane.bit, order, length, network.confidence()});
      p = correction_.correct(p);
    }
    // Prefetches the slots of the second half on the assumption that the likelier bit ends the first half.
    if (lane.bit == 3) {
      uint32_t contexts[kContexts];
      for (int i = 0; i < kContexts; i++) contexts[i] = second_half(lane.context[i], partial * 2 + (p > kOne / 2));
      fetch_slots(contexts);
    }
    return p;
  }

  bool has_corrector() const { return correction_.has_corrector(); }
  const CorrectorInputs &corrector_inputs() const { return correction_.inputs; }  // of the last prediction

  void update(Lane &lane, NetworkPrediction &network, int bit) {
    lane.partial = lane.partial * 2 + bit;
    if (++lane.bit == 4) {
      for (uint32_t &context : lane.context) context = second_half(context, lane.partial);
      fetch_slots(lane.context);
    }
    const int target = bit << 16, error = target - mixed_;
    memory_.save(final_weights_, 8);
    int16_t steps[kSets];
    for (int s = 0; s < kSets; s++) {
      memory_.save(weights_[s], kInputs);
      final_weights_[s] += ((int64_t)answers_[s] * error * 8 + (1 << 20)) >> 21;
      steps[s] = step_of(target - squash(answers_[s]), rate_);
    }
    kernels_.train(inputs_, weights_, kSets, kInputs, steps);
    for (int i = 0; i < kContexts; i++) {
      const int history = *histories_[i];
      if (history) update(c_.histories[i][history], bit);
      memory_.save(histories_[i]);
      *histories_[i] = (uint8_t)kBitHistoryTable.next(history, bit);
    }
    for (int i = 0; i < kFull; i++) {
      Node &n = *nodes_[i];
      const int p = n.p + ((target - bit - n.p) * (int)kRates.of[n.count] >> 16);
      n.p = (uint16_t)(p < 32 ? 32 : p > kOne - 33 ? kOne - 33 : p);
      if (n.count < 250) n.count++;
    }
    for (StateMap *matched : matched_)
      if (matched) update(*matched, bit);
    if (network_map_) update(*network_map_, bit);
    for (APM &stage : apms_) {
      memory_.save(stage.nearer());
      APM::update(stage.nearer(), bit);
    }
    correction_.update(target);
    network.update(bit);
    if (lane.bit == 4) find_slots(lane);
  }

  // To be called after eight bits. The caller then steps the network if it has a complete token.
  uint8_t end_byte(Lane &lane) {
    const uint8_t byte = (uint8_t)lane.partial;
    buffer_.text[lane.position++] = byte;
    lane.text.update(byte, lane.position);
    make_contexts(lane.text, buffer_.text, lane.position, lane.context);
    fetch_slots(lane.context);
    for (int k = 0; k < kMatches; k++)
      lane.matches[k].prefetch_entry(buffer_.text, lane.position, lane.start, kMatchLengths[k], c_.match_tables[k]);
    return byte;
  }

 private:
  static constexpr int kInitialRate = 655, kNetworkRate = 328, kFinalRate = 100;  // see step_of
  static constexpr uint32_t kMaxCountedBytes = 1 << 30;
  static constexpr int kMatchLengths[kMatches] = {6, 16};

  // Adds the predictions of the slots to the inputs. Returns the number of orders that were seen before.
  int add_contexts(const Lane &lane) {
    const int in_half = lane.bit & 3, node = (1 << in_half) - 1 + (lane.partial & ((1 << in_half) - 1));
    int order = 0;
    int16_t *x = inputs_;
    for (int i = 0; i < kContexts; i++, x += 2) {
      histories_[i] = i < kFull ? &lane.full[i]->node[node].history : &lane.light[i]->history[node];
      const int history = *histories_[i], p = c_.histories[i][history].p();
      x[0] = history ? (int16_t)stretch(p) : 0;
      x[1] = history ? (int16_t)((p - kOne / 2) >> 6) : 0;
      order += history && i > 0 && i < kOrders;
    }
    for (int i = 0; i < kFull; i++, x++) {
      nodes_[i] = &lane.full[i]->node[node];
      x[0] = *histories_[i] ? (int16_t)stretch(nodes_[i]->p) : 0;
    }
    return order;
  }

  struct Expected {
    int byte, length;  // the byte | 256, and 1 + the length class of the longest match; 0 without a match
  };

  // Adds the predictions of the match models to the inputs. Returns the expectation of the longest match.
  Expected add_matches(const Lane &lane) {
    Expected longest{0, 0};
    int16_t *x = inputs_ + kMatchInput;
    for (int k = 0; k < kMatches; k++, x += 2) {
      x[0] = x[1] = 0;
      matched_[k] = nullptr;
      const Match &match = lane.matches[k];
      const int byte = match.expected(buffer_);
      if (!byte || byte >> (8 - lane.bit) != lane.partial) continue;
      matched_[k] = &c_.matches[k][match.map(byte >> (7 - lane.bit) & 1, k ? 0 : lane.bit)];
      const int p = matched_[k]->p();
      x[0] = (int16_t)stretch(p);
      x[1] = (int16_t)((p - kOne / 2) >> 6);
      if (match.length_class() + 1 > longest.length) longest = {byte, match.length_class() + 1};
    }
    return longest;
  }

  // Adds the network's prediction and the constant input. Returns the quantized logit of the network, 0 without one.
  int add_network(const Lane &lane, const NetworkPrediction &network) {
    int logit_step = 0;
    int16_t *const x = inputs_ + kNetworkInput;
    x[0] = x[1] = 0;
    x[2] = 256;
    network_map_ = nullptr;
    if (network.predicts()) {
      const int logit = stretch(network.p());
      logit_step = (logit + kLogitLimit) * (kLogitSteps - 1) / (2 * kLogitLimit);
      network_map_ = &c_.network_maps[logit_step * 64 + network.confidence() * 8 + lane.bit];
      x[0] = (int16_t)logit;
      x[1] = (int16_t)stretch(network_map_->p());
    }
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
    for (int s = 0, first = 0; s < kSets; first += kSetSizes[s++]) weights_[s] = c_.weights[first + chosen[s]];
    final_weights_ = c_.weights_of_sets[(order * 8 + bit) + 64 * confidence];
  }

  void set_corrector_inputs(int logit, int p, const int (&refined)[kAPMs], const int (&category)[kCategories]) {
    int16_t *x = correction_.inputs.x;
    memcpy(x, inputs_, kUsedInputs * sizeof *x);
    x += kUsedInputs;
    for (int answer : answers_) *x++ = (int16_t)answer;
    *x++ = (int16_t)logit;
    *x++ = (int16_t)stretch(p);
    for (int of_stage : refined) *x++ = (int16_t)stretch(of_stage);
    for (const uint8_t *history : histories_) *x++ = correction_.corrector().log_total_of(*history);
    for (const Node *node : nodes_) *x++ = correction_.corrector().log_count(node->count);
    memcpy(correction_.inputs.category, category, sizeof category);
  }

  // Returns the final logit: the outputs of all weight sets, mixed by the second layer.
  int mix() {
    int32_t sums[kSets];
    kernels_.mix(inputs_, weights_, kSets, kInputs, sums);
    int64_t sum = 0;
    for (int s = 0; s < kSets; s++) {
      answers_[s] = clamp_logit(sums[s] >> kWeightBits);
      sum += (int64_t)final_weights_[s] * answers_[s];
    }
    return clamp_logit(sum >> 16);
  }

  void update(StateMap &map, int bit) {
    memory_.save(&map);
    map.update(bit);
  }

  // Returns the step of the weights for a 16-bit error, in the units of CodecKernels::train: rate / 2^10 of the error.
  static int16_t step_of(int error, int rate) {
    const int step = (int)(((int64_t)error * rate) >> 10);
    return (int16_t)(step < -32767 ? -32767 : step > 32767 ? 32767 : step);
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

  // A context has one slot for each half of a byte. The hash of the second includes the first four bits.
  static uint32_t second_half(uint32_t context, int partial) { return hash(context, (uint32_t)partial * 31 + 5); }
  // fetch_slots prefetches the slots of the next half of a byte while other work is done, find_slots looks them up.
  void fetch_slots(const uint32_t *contexts) {
    for (int i = 0; i < kFull; i++) memory_.prefetch_full(contexts[i]);
    for (int i = kFull; i < kContexts; i++) memory_.prefetch_light(contexts[i]);
  }
  void find_slots(Lane &lane) {
    for (int i = 0; i < kFull; i++) lane.full[i] = memory_.find_full(lane.context[i]);
    for (int i = kFull; i < kContexts; i++) lane.light[i] = memory_.find_light(lane.context[i]);
  }
  // Returns the points of an APM in a context, and prefetches them.
  uint16_t *apm_points(int stage, int context) {
    uint16_t *points = c_.apms[stage][context];
    __builtin_prefetch(points, 1);
    __builtin_prefetch(points + APM::kPoints - 1, 1);
    return points;
  }

  const CodecKernels &kernels_;
  Memory &memory_;
  Memory::Counters &c_;
  const TextBuffer &buffer_;
  // The values of the last prediction, which update() needs:
  alignas(64) int16_t inputs_[kInputs] = {};
  int16_t *weights_[kSets];
  int answers_[kSets], mixed_ = 0, rate_ = 0;
  int32_t *final_weights_ = nullptr;
  uint8_t *histories_[kContexts];
  Node *nodes_[kFull];
  StateMap *matched_[kMatches], *network_map_ = nullptr;
  APM apms_[kAPMs];
  CorrectionStage correction_;
};

}  // namespace charloom
