// Generation: sample a token, run one step of every layer, compute the next logits.
//
// Tokens enter by a table of their initial pre-activations in the first layer, so that no input is ever multiplied. All
// samples share each pass over the weights.
#pragma once
#include "language_model/output_layer.h"
#include "language_model/token_input.h"
#include "layer/layer.h"

namespace {

using charloom::GenerationModel;
using charloom::GenerationRun;

// The weights packed for generation, in a block of their own: packed once, used by any number of runs.
template <class Cell, class Number>
class Generator {
 public:
  Generator(const GenerationModel &model, void *memory) : model_(model), width_(padded(model.hidden)), arena_(memory) {
    for (long l = 0; l < model.layers; l++)
      layers_[l] = allocate_packed_layer<Cell, Number>(arena_, model.hidden, l ? model.hidden : model.inputs(),
                                                       l ? 1 : model.vocabulary, true, false, l > 0);
    output_ = allocate_output_layer<Number>(arena_, model.vocabulary, model.hidden);
  }

  size_t packed_size() const { return arena_.used(); }

  void pack() {
    for (long l = 0; l < model_.layers; l++) {
      PackedLayer<Number> to = layers_[l];
      pack_layer<Cell>(to, model_.weights[l], model_.hidden, 0, 1);
      if (l) initialize_from_biases<Cell>(to.initial, model_.weights[l], model_.hidden);
    }
    make_table();
    output_.pack(model_.output, model_.output_bias, {0, output_.logits});
  }

  // Returns the workspace size of a run, and performs the run unless the workspace is null.
  size_t run(const GenerationRun &run, void *workspace) {
    Arena arena(workspace);
    const long n = run.samples, state = n * width_;
    Tape<Number> tapes[kMaxLayers];  // each of one step
    float *last_hidden[kMaxLayers], *last_cell[kMaxLayers];
    for (long l = 0; l < model_.layers; l++) {
      tapes[l] = {1, n, model_.hidden};
      allocate_tape<Cell>(arena, tapes[l], false);
      last_hidden[l] = arena.allocate<float>(state);
      last_cell[l] = Cell::has_cell ? arena.allocate<float>(state) : nullptr;
    }
    float *scratch =
        arena.allocate<float>(max(scratch_size<Cell, Number>(n), round_up(n, kRowBlock<Number>) * output_.logits));
    double *choice = arena.allocate<double>(2 * model_.vocabulary);
    int64_t *chosen = arena.allocate<int64_t>(n);
    if (!workspace) return arena.used();

    FlushDenormals flush;
    TileConfig tiles;
    for (long l = 0; l < model_.layers; l++) {
      const long from = l * n * model_.hidden;
      load_initial_state<Cell>(tapes[l], run.first_hidden + from, Cell::has_cell ? run.first_cell + from : nullptr,
                               {0, n}, last_hidden[l], last_cell[l]);
    }
    for (long t = 0; t < run.steps; t++) {
      for (long i = 0; i < n; i++) {
        float *logits = run.logits + i * model_.vocabulary;
        chosen[i] =
            charloom::sample_token(logits, model_.vocabulary, run.sampling, run.draws[i * run.steps + t], choice);
        run.ids[i * run.steps + t] = chosen[i];
      }
      for (long l = 0; l < model_.layers; l++) {
        const Tape<Number> tape = tapes[l];
        const float *initial = layers_[l].initial;
        auto initial_row = [&](long, long b) {
          return l ? initial : initial + chosen[b] * Cell::preactivations * width_;
        };
        forward_over_time<Cell, Number>(tape, layers_[l], {0, n}, {0, 1}, initial_row,
                                        l ? rows_after(tapes[l - 1]) : Left<Number>{}, last_hidden[l], last_cell[l],
                                        nullptr, 0, scratch);
      }
      compute_logits(rows_after(tapes[model_.layers - 1]), n, scratch, run.logits);
      // The hidden state that this step has written is the previous one of the next step.
      for (long l = 0; l < model_.layers; l++) {
        std::swap(tapes[l].first_hidden, tapes[l].hidden);
        std::swap(tapes[l].first_scales, tapes[l].scales);
      }
    }
    for (long l = 0; l < model_.layers; l++) {
      const long to = l * n * model_.hidden;
      unpad_rows(last_hidden[l], width_, {0, n}, run.first_hidden + to, model_.hidden);
      if (Cell::has_cell) unpad_rows(last_cell[l], width_, {0, n}, run.first_cell + to, model_.hidden);
    }
    return arena.used();
  }

 private:
  // Row v: the initial pre-activations of token v, from its column of the input weights or from its embedding, plus
  // biases.
  void make_table() {
    const auto &from = model_.weights[0];
    const long inputs = model_.inputs();
    if (!model_.embedding)
      return make_token_table<Cell>(layers_[0].initial, from, model_.hidden, model_.vocabulary, {0, model_.vocabulary});
    for (long v = 0; v < model_.vocabulary; v++) {
      float *row = layers_[0].initial + v * Cell::preactivations * width_;
      initialize_from_biases<Cell>(row, from, model_.hidden);
      for (long i = 0; i < Cell::gates; i++)
        for (long j = 0; j < model_.hidden; j++) {
          const float *weights = from.input + (Cell::input_gate[i] * model_.hidden + j) * inputs;
          double sum = 0;
          for (long k = 0; k < inputs; k++) sum += (double)weights[k] * model_.embedding[v * inputs + k];
          row[i * width_ + j] += (float)sum;
        }
    }
  }

  // The hidden states after the step of a tape, as a left-hand side.
  static Left<Number> rows_after(const Tape<Number> &tape) {
    return rows_of<Number>(tape.hidden, tape.width, tape.scales);
  }

  void compute_logits(Left<Number> hidden, long n, float *scratch, float *logits) {
    output_.compute_logits(hidden, n, scratch);
    for (long v = 0; v < model_.vocabulary; v += kPanel)
      for (long i = 0; i < n; i++)
        memcpy(logits + i * model_.vocabulary + v, scratch + v / kPanel * output_.panel_stride(n) + i * kPanel,
               min(kPanel, model_.vocabulary - v) * sizeof(float));
  }

  const GenerationModel model_;
  const long width_;
  Arena arena_;
  PackedLayer<Number> layers_[kMaxLayers];
  OutputLayer<Number> output_;
};

}  // namespace
