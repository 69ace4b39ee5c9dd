// The corrector: corrects the last prediction of a bit by a small feed-forward network, which was trained once on other
// texts and never changes. It has learned which predictions to trust in which situation. The mixer, which learns from
// the priming and this text alone, has seen too little for that. Two weights that do learn, those of the prediction and
// of the correction, limit the harm on a text that is unlike those texts.
//
// Its inputs are those of the mixer, the outputs of all stages, and how often each context was seen; its categories are
// the number of known decisions, the orders seen before, the length of the match and the confidence of the network.
#pragma once
#include <vector>

#include "mixing/memory.h"

namespace charloom {

constexpr int kStageOutputs = kSets + 1 + 1 + kAPMs;  // of the weight sets, the final mixer, the mean and the APMs
static_assert(kStageInputs == kStageOutputs + kContexts + kFull);

struct CorrectorInputs {
  const int16_t *mixer;          // the inputs of the mixer
  int16_t stages[kStageInputs];  // the outputs of all stages, and how often each context was seen
  int category[kCategories];
};

// The order of the mixer's inputs in the corrector's files differs from that in the mixer: nodes follow the contexts.
constexpr int mixer_input_of(int file_input) {
  constexpr int nodes = 2 * kContexts, matches = nodes + kNodes;
  if (file_input < nodes || file_input == kConstantInput) return file_input;
  return file_input < matches ? kNodeInput + file_input - nodes : file_input - kNodes;
}

class Corrector {
 public:
  static constexpr int kValues[kCategories] = {8, kOrders, 1 + Match::kLengths, 8};  // of each category
  static constexpr int kRows = kValues[0] + kValues[1] + kValues[2] + kValues[3];

  // inputs, output and output_bias: CorrectorWeights. rows: (kRows, kCorrectorUnits). log_counts: the input for each
  // number of bits seen, 0 to 255.
  Corrector(const int16_t *inputs, const int32_t *rows, const int16_t *output, int32_t output_bias,
            const int16_t *log_counts)
      : rows_(rows, rows + kRows * kCorrectorUnits), log_counts_(log_counts, log_counts + 256) {
    for (int i = 0; i < kCorrectorInputs; i++) {
      const int to = i < kUsedInputs ? mixer_input_of(i) : i;
      for (int unit = 0; unit < kCorrectorUnits; unit++)
        weights_.inputs[to / 2][unit][to % 2] = inputs[(i / 2 * kCorrectorUnits + unit) * 2 + i % 2];
    }
    memcpy(weights_.output, output, sizeof weights_.output);
    weights_.output_bias = output_bias;
    for (int s = 0; s < 256; s++) log_totals_[s] = s < kBitHistoryTable.num_states() ? log_total(s) : 0;
  }

  int16_t log_count(int count) const { return log_counts_[count]; }
  int16_t log_total_of(int history) const { return log_totals_[history]; }

  // Returns the correction of the logit, within +-kLogitLimit.
  int correct(const CodecKernels &kernels, const CorrectorInputs &inputs) const {
    const int32_t *rows[kCategories], *first = rows_.data();
    for (int i = 0; i < kCategories; first += kValues[i++] * kCorrectorUnits)
      rows[i] = first + inputs.category[i] * kCorrectorUnits;
    return clamp_logit(kernels.correct(weights_, inputs.mixer, inputs.stages, rows) >> 15);
  }

 private:
  int16_t log_total(int history) const { return log_counts_[kBitHistoryTable.total(history)]; }

  CorrectorWeights weights_;
  std::vector<int32_t> rows_;
  std::vector<int16_t> log_counts_;
  int16_t log_totals_[256];
};

// The corrector as the last stage of the prediction of a bit.
class CorrectionStage {
 public:
  // corrector: null for none.
  CorrectionStage(const CodecKernels &kernels, const Corrector *corrector, Memory &memory)
      : kernels_(kernels), corrector_(corrector), memory_(memory), weights_(memory.counters().correction) {}

  CorrectorInputs inputs = {};  // to be set before correct()

  bool has_corrector() const { return corrector_; }
  const Corrector &corrector() const { return *corrector_; }
  // Starts a decision. Returns whether its prediction is to be corrected.
  bool start(bool is_correctable) {
    p_ = 0;
    return corrector_ && is_correctable;
  }
  bool has_corrected() const { return p_; }
  // Returns the corrected probability.
  int correct(int p) {
    logits_[0] = stretch(p);
    logits_[1] = corrector_->correct(kernels_, inputs);
    int64_t sum = 0;
    for (int i = 0; i < 2; i++) sum += (int64_t)weights_[i] * logits_[i];
    return p_ = squash(clamp_logit(sum >> 16));
  }
  // target: the bit << 16.
  void update(int target) {
    if (!p_) return;
    memory_.save(weights_, 2);
    for (int i = 0; i < 2; i++) weights_[i] += ((int64_t)logits_[i] * (target - p_) + (1 << 16)) >> 17;
  }

 private:
  const CodecKernels &kernels_;
  const Corrector *corrector_;
  Memory &memory_;
  int32_t *weights_;
  int logits_[2], p_ = 0;  // p_: the corrected probability; 0 if it was not corrected
};

}  // namespace charloom
