// The loop over characters: choose a token, one step of every layer, the next logits.
//
// Tokens enter by a table of their share of the first layer's products, so that no input is ever multiplied. Several
// samples share each pass over the weights.
#pragma once
#include "cross_entropy.h"
#include "int8.h"
#include "layer.h"
#include "token_input.h"

namespace {

using charloom::GenerationModel;
using charloom::GenerationRun;

// Weights packed for generation, in memory of their own: made once, used for any number of runs.
template <class Cell, class Number>
class Generator {
 public:
  Generator(const GenerationModel &model, void *memory)
      : model_(model), width_(padded(model.hidden)), logits_(padded(model.vocabulary)), arena_(memory) {
    for (long l = 0; l < model.layers; l++)
      layers_[l] = take_packed_layer<Cell, Number>(arena_, model.hidden, l ? model.hidden : model.inputs(),
                                                   l ? 1 : model.vocabulary, true, false, l > 0);
    output_ = arena_.take<Number>(logits_ / kPanel * panel_size<Number>(width_));
    output_bias_ = arena_.take<float>(logits_);
    packed_ = arena_.used();
  }

  size_t packed_size() const { return packed_; }

  void pack() {
    for (long l = 0; l < model_.layers; l++) {
      PackedLayer<Number> to = layers_[l];
      pack_layer<Cell>(to, model_.weights[l], model_.hidden, 0, 1);
      if (l) start_from_biases<Cell>(to.start, model_.weights[l], model_.hidden);
    }
    make_table();
    for (long v = 0; v < logits_; v += kPanel)
      pack_columns(output_ + v / kPanel * panel_size<Number>(width_), model_.output + v * model_.hidden, model_.hidden,
                   model_.hidden, width_, model_.vocabulary - v);
    for (long v = 0; v < logits_; v++) output_bias_[v] = v < model_.vocabulary ? model_.output_bias[v] : kNever;
  }

  // Returns the size of the memory that a run needs; runs where there is some.
  size_t run(const GenerationRun &run, void *workspace) {
    Arena arena(workspace);
    const long n = run.samples, state = n * width_;
    Number *hidden[kMaxLayers][2];  // read, then written, in turn
    float *last_hidden[kMaxLayers], *last_cell[kMaxLayers];
    for (long l = 0; l < model_.layers; l++) {
      for (int i = 0; i < 2; i++) hidden[l][i] = arena.take<Number>(state + kRowBlock<Number> * width_);
      last_hidden[l] = arena.take<float>(state);
      last_cell[l] = Cell::has_cell ? arena.take<float>(state) : nullptr;
    }
    float *scratch = arena.take<float>(larger(scratch_size<Cell, Number>(n), round_up(n, kRowBlock<Number>) * logits_));
    double *choice = arena.take<double>(2 * model_.vocabulary);
    int64_t *chosen = arena.take<int64_t>(n);
    if (!workspace) return arena.used();

    FlushDenormals flush;
    TileUnit tiles;
    copy_state(run.first_hidden, run.first_cell, last_hidden, last_cell, n, false);
    for (long l = 0; l < model_.layers; l++)
      for (long i = 0; i < state; i += kLanes) store(hidden[l][0] + i, load(last_hidden[l] + i));
    for (long t = 0; t < run.steps; t++) {
      for (long i = 0; i < n; i++) {
        float *logits = run.logits + i * model_.vocabulary;
        chosen[i] =
            charloom::choose_token(logits, model_.vocabulary, run.sampling, run.draws[i * run.steps + t], choice);
        run.ids[i * run.steps + t] = chosen[i];
      }
      for (long l = 0; l < model_.layers; l++) {
        Tape<Number> tape(1, n, model_.hidden, false);
        tape.first_hidden = hidden[l][t % 2];
        tape.hidden = hidden[l][(t + 1) % 2];
        const float *start = layers_[l].start;
        auto start_row = [&](long, long b) { return l ? start : start + chosen[b] * Cell::products * width_; };
        forward_in_time<Cell, Number>(tape, layers_[l], {0, n}, start_row, l ? hidden[l - 1][(t + 1) % 2] : nullptr,
                                      width_, last_hidden[l], last_cell[l], nullptr, scratch);
      }
      score(hidden[model_.layers - 1][(t + 1) % 2], n, scratch, run.logits);
    }
    copy_state(run.first_hidden, run.first_cell, last_hidden, last_cell, n, true);
    return arena.used();
  }

 private:
  // Row v: the products' share of token v, from its column of the input weights or its embedding, and the biases.
  void make_table() {
    const auto &from = model_.weights[0];
    const long inputs = model_.inputs();
    if (!model_.embedding)
      return make_token_table<Cell>(layers_[0].start, from, model_.hidden, model_.vocabulary, {0, model_.vocabulary});
    for (long v = 0; v < model_.vocabulary; v++) {
      float *row = layers_[0].start + v * Cell::products * width_;
      start_from_biases<Cell>(row, from, model_.hidden);
      for (long i = 0; i < Cell::gates; i++)
        for (long j = 0; j < model_.hidden; j++) {
          const float *weights = from.input + (Cell::input_gate[i] * model_.hidden + j) * inputs;
          double sum = 0;
          for (long k = 0; k < inputs; k++) sum += (double)weights[k] * model_.embedding[v * inputs + k];
          row[i * width_ + j] += (float)sum;
        }
    }
  }

  void score(const Number *hidden, long n, float *scratch, float *logits) {
    const long block = round_up(n, kRowBlock<Number>) * kPanel;
    for (long v = 0; v < logits_; v += kPanel)
      for (long i = 0; i < n; i++)
        memcpy(scratch + v / kPanel * block + i * kPanel, output_bias_ + v, kPanel * sizeof(float));
    multiply(n, width_, rows_of(hidden, width_), output_, logits_ / kPanel, {scratch, kPanel, block});
    for (long v = 0; v < model_.vocabulary; v += kPanel)
      for (long i = 0; i < n; i++)
        memcpy(logits + i * model_.vocabulary + v, scratch + v / kPanel * block + i * kPanel,
               smaller(kPanel, model_.vocabulary - v) * sizeof(float));
  }

  // Between the caller's (layers, samples, hidden) and the padded rows of each layer.
  void copy_state(float *hidden, float *cell, float *const *to_hidden, float *const *to_cell, long n, bool back) const {
    for (long l = 0; l < model_.layers; l++)
      for (long i = 0; i < n; i++)
        for (long j = 0; j < width_; j++) {
          const long at = (l * n + i) * model_.hidden + j, padded_at = i * width_ + j;
          const bool unit = j < model_.hidden;
          if (back && unit) {
            hidden[at] = to_hidden[l][padded_at];
            if (Cell::has_cell) cell[at] = to_cell[l][padded_at];
          } else if (!back) {
            to_hidden[l][padded_at] = unit ? hidden[at] : 0.f;
            if (Cell::has_cell) to_cell[l][padded_at] = unit ? cell[at] : 0.f;
          }
        }
  }

  const GenerationModel model_;
  const long width_, logits_;
  Arena arena_;
  PackedLayer<Number> layers_[kMaxLayers];
  Number *output_;
  float *output_bias_;
  size_t packed_;
};

}  // namespace
