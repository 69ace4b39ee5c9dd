// One training step of a language model without the optimizer: tokens, recurrent layers, logits, mean cross-entropy,
// and all gradients, fused in one call. layer.h computes single layers.
//
// Phases, with a barrier of the threads between them: the weights are packed; each thread takes its rows of the batch
// through all layers and steps, forward and backward; the gradients of weights are summed for each group of rows; the
// groups are added. One-hot tokens are never multiplied: their rows of the input weights are gathered, and their
// gradients scattered.
#pragma once
#include "language_model/output_layer.h"
#include "language_model/token_input.h"
#include "layer/layer.h"

namespace {

using charloom::LanguageModelCall;

template <class Cell, class Number>
class LanguageModelStep {
 public:
  LanguageModelStep(const LanguageModelCall &call, void *workspace)
      : call_(call),
        arena_(workspace),
        width_(padded(call.hidden)),
        rows_(call.steps * call.batch),
        logits_(padded(call.vocabulary)),
        one_hot_(call.embedding_size == 0),
        groups_(call.steps, call.batch, rows_) {
    allocate_memory();
  }
  size_t used() const { return arena_.used(); }

  void run() {
    run_parallel(call_.threads, call_.off_cpu_seconds, [&](int id, int threads) {
      pack(id, threads);
      const Range my_range = partition(call_.batch, kRowBlock<Number>, id, threads);
      load_inputs(my_range);
      barrier(threads);
      if (my_range.begin < my_range.end) {
        for (long l = 0; l < call_.layers; l++) forward_layer(l, my_range, id);
        compute_loss(my_range, id);
        for (long l = call_.layers - 1; l >= 0; l--) backward_layer(l, my_range, id);
        if (!one_hot_) backward_embedding(my_range, id);
      }
      barrier(threads);
      sum_gradients(id, threads);
      // add_groups reads sums of other threads, if it has anything to add.
      if (groups_.count() > 1 || one_hot_) barrier(threads);
      add_groups(id, threads);
    });
    // In float64 and in the order of the rows, so that the loss does not depend on the number of threads.
    double total = 0;
    for (long k = 0; k < rows_; k++) total += losses_[k];
    *call_.loss = (float)(total / rows_);
  }

 private:
  void allocate_memory() {
    const long slack = kRowBlock<Number>, batch = call_.batch, state = batch * width_;
    for (long l = 0; l < call_.layers; l++) {
      const bool tokens = l == 0 && one_hot_;
      const long inputs = l ? call_.hidden : one_hot_ ? call_.vocabulary : call_.embedding_size;
      weights_[l] = allocate_packed_layer<Cell, Number>(arena_, call_.hidden, inputs, tokens ? call_.vocabulary : 1,
                                                        true, true, !tokens);
      tape_[l] = {call_.steps, batch, call_.hidden};
      allocate_tape<Cell>(arena_, tape_[l], true);
      last_hidden_[l] = arena_.allocate<float>(state);
      last_cell_[l] = Cell::has_cell ? arena_.allocate<float>(state) : nullptr;
    }
    for (long l = 0; l < call_.layers; l++) {
      // The recurrence reads hidden states without dropout, so states with dropout need an array of their own.
      const bool dropped = dropout_below(l + 1).on();
      layer_output_[l] = dropped ? arena_.allocate<Number>((rows_ + slack) * width_) : tape_[l].hidden;
    }
    embedded_stride_ = one_hot_ ? 0 : padded(call_.embedding_size);
    embedded_ = one_hot_ ? nullptr : arena_.allocate<Number>((rows_ + slack) * embedded_stride_);
    d_embedded_ = one_hot_ ? nullptr : arena_.allocate<float>(rows_ * embedded_stride_);
    d_table_size_ = one_hot_ ? call_.vocabulary * Cell::gates * width_ : 0;
    d_table_ = arena_.allocate<float>(groups_.count() * d_table_size_);
    // The sums of the first group are the caller's gradients, to which those of other groups are added.
    for (long g = 0; g < groups_.count(); g++) {
      for (long l = 0; l < call_.layers; l++)
        sums_[g][l] = g == 0 ? call_.gradients[l]
                             : allocate_layer_gradients<Cell>(arena_, num_multiplied_inputs(l), call_.hidden,
                                                              call_.gradients[l].hidden_bias != nullptr);
      d_output_[g] = g == 0 ? call_.d_output : arena_.allocate<float>(call_.vocabulary * call_.hidden);
      d_output_bias_[g] = g == 0 ? call_.d_output_bias : arena_.allocate<float>(call_.vocabulary);
    }
    carry_ = arena_.allocate<float>(state);
    output_ = allocate_output_layer<Number>(arena_, call_.vocabulary, call_.hidden);
    output_back_ = arena_.allocate<Number>(logits_ * width_);
    d_logits_ = arena_.allocate<Number>((rows_ + slack) * logits_);
    losses_ = arena_.allocate<float>(rows_);
    const long logits_size = round_up(batch, kRowBlock<Number>) * logits_;
    const long scratch = max(max(logits_size, width_), scratch_size<Cell, Number>(batch));
    for (int i = 0; i < call_.threads; i++) {
      scratch_[i] = arena_.allocate<float>(scratch);
      outer_[i] = allocate_outer_scratch<Number>(arena_, max(call_.hidden, embedded_stride_));
    }
  }

  // Returns the input size of layer l if its weights are multiplied, 0 if they are looked up.
  long num_multiplied_inputs(long l) const { return l ? call_.hidden : call_.embedding_size; }
  // Returns the dropout on the input of layer l; l == layers: on the input of the output layer.
  Dropout dropout_below(long l) const {
    const bool outside = l == 0 || l == call_.layers;
    return {outside ? call_.dropout : call_.layer_dropout, call_.seed, (uint32_t)l};
  }
  const int64_t &id_at(long t, long b) const { return call_.ids[row_at(t, b)]; }
  long row_at(long t, long b) const { return t * call_.batch + b; }

  void pack(int id, int threads) {
    for (long l = 0; l < call_.layers; l++) pack_layer<Cell>(weights_[l], call_.weights[l], call_.hidden, id, threads);
    output_.pack(call_.output, call_.output_bias, partition(logits_, kPanel, id, threads));
    const Range units = partition(width_, kPanel, id, threads);
    for (long u = units.begin; u < units.end; u += kPanel)
      pack_rows(
          output_back_ + u * logits_, [&](long k) { return call_.output + k * call_.hidden + u; }, call_.vocabulary,
          logits_, call_.hidden - u);
    // Too little work to be partitioned.
    if (id == 0)
      for (long l = one_hot_ ? 1 : 0; l < call_.layers; l++)
        initialize_from_biases<Cell>(weights_[l].initial, call_.weights[l], call_.hidden);
    if (one_hot_)
      make_token_table<Cell>(weights_[0].initial, call_.weights[0], call_.hidden, call_.vocabulary,
                             partition(call_.vocabulary, 1, id, threads));
  }

  void load_inputs(Range my_range) {
    for (long l = 0; l < call_.layers; l++) {
      const long from = l * call_.batch * call_.hidden;
      load_initial_state<Cell>(tape_[l], call_.first_hidden + from, Cell::has_cell ? call_.first_cell + from : nullptr,
                               my_range, last_hidden_[l], last_cell_[l]);
    }
    for (long t = 0; !one_hot_ && t < call_.steps; t++)
      for (long b = my_range.begin; b < my_range.end; b++)
        embed_token(call_.embedding + id_at(t, b) * call_.embedding_size, call_.embedding_size, dropout_below(0),
                    row_at(t, b), embedded_stride_, embedded_ + row_at(t, b) * embedded_stride_);
  }

  void forward_layer(long l, Range my_range, int id) {
    const bool tokens = l == 0 && one_hot_;
    const float *initial = weights_[l].initial;
    forward_over_time<Cell>(
        tape_[l], weights_[l], my_range, {0, call_.steps},
        [&](long t, long b) { return tokens ? initial + id_at(t, b) * Cell::preactivations * width_ : initial; },
        l ? rows_of<Number>(layer_output_[l - 1], width_) : rows_of<Number>(embedded_, embedded_stride_),
        last_hidden_[l], last_cell_[l], nullptr, 0, scratch_[id]);
    const Dropout dropout = dropout_below(l + 1);
    for (long t = 0; dropout.on() && t < call_.steps; t++)
      for (long b = my_range.begin; b < my_range.end; b++) {
        const long at = row_at(t, b) * width_;
        for (long j = 0; j < width_; j += kLanes) store(scratch_[id] + j, load(tape_[l].hidden + at + j));
        dropout.apply(scratch_[id], row_at(t, b), 0, width_);
        for (long j = 0; j < width_; j += kLanes) store(layer_output_[l] + at + j, load(scratch_[id] + j));
      }
    const long to = l * call_.batch * call_.hidden;
    unpad_rows(last_hidden_[l], width_, my_range, call_.last_hidden + to, call_.hidden);
    if (Cell::has_cell) unpad_rows(last_cell_[l], width_, my_range, call_.last_cell + to, call_.hidden);
  }

  // Computes the logits, the loss of each row, and the gradients of the logits.
  void compute_loss(Range my_range, int id) {
    const long n = my_range.end - my_range.begin;
    for (long t = 0; t < call_.steps; t++) {
      output_.compute_logits(
          rows_of<Number>(layer_output_[call_.layers - 1] + row_at(t, my_range.begin) * width_, width_), n,
          scratch_[id]);
      for (long r = 0; r < n; r++) {
        const long row = row_at(t, my_range.begin + r);
        losses_[row] = cross_entropy_row(scratch_[id] + r * kPanel, logits_ / kPanel, output_.panel_stride(n),
                                         call_.targets[row], 1.f / rows_, d_logits_ + row * logits_);
      }
    }
  }

  void backward_layer(long l, Range my_range, int id) {
    const long n = my_range.end - my_range.begin, block = round_up(n, kRowBlock<Number>) * kPanel;
    const Dropout dropout = dropout_below(l + 1);
    auto upstream = [&](long t, long u, long panels, float *to) {
      if (l < call_.layers - 1) {
        gradient_of_input<Cell>(tape_[l + 1], weights_[l + 1], my_range, t, u, panels, to);
      } else {
        memset(to, 0, panels * block * sizeof(float));
        multiply(n, logits_, rows_of<Number>(d_logits_ + row_at(t, my_range.begin) * logits_, logits_),
                 output_back_ + u * logits_, panels, {to, kPanel, block});
      }
      for (long r = 0; dropout.on() && r < n; r++)
        for (long p = 0; p < panels; p++)
          dropout.apply(to + p * block + r * kPanel, row_at(t, my_range.begin + r), u + p * kPanel, kPanel);
    };
    memset(carry_ + my_range.begin * width_, 0, n * width_ * sizeof(float));
    backward_over_time<Cell>(tape_[l], weights_[l], my_range, upstream, nullptr, carry_, nullptr, scratch_[id]);
  }

  void backward_embedding(Range my_range, int id) {
    const long n = my_range.end - my_range.begin;
    const Dropout dropout = dropout_below(0);
    for (long t = 0; t < call_.steps; t++)
      for (long j = 0; j < embedded_stride_; j += kPanel) {
        gradient_of_input<Cell>(tape_[0], weights_[0], my_range, t, j, 1, scratch_[id]);
        for (long r = 0; r < n; r++) {
          const long row = row_at(t, my_range.begin + r);
          if (dropout.on()) dropout.apply(scratch_[id] + r * kPanel, row, j, kPanel);
          memcpy(d_embedded_ + row * embedded_stride_ + j, scratch_[id] + r * kPanel, kPanel * sizeof(float));
        }
      }
  }

  void sum_gradients(int id, int threads) {
    const Number *hidden = layer_output_[call_.layers - 1];
    for (long g = 0; g < groups_.count(); g++) {
      const Range part = groups_.part(g, call_.hidden, kRowsPerPart<Number>, id, threads), rows = groups_.rows(g);
      for (long l = 0; l < call_.layers; l++) {
        const GroupRows<Number> group(tape_[l], rows);
        sum_recurrent_gradients<Cell>(group, call_.hidden, sums_[g][l], part, outer_[id]);
        if (l || !one_hot_)
          sum_input_gradients<Cell>(group, call_.hidden, weights_[l].inputs, l ? layer_output_[l - 1] : embedded_,
                                    l ? width_ : embedded_stride_, sums_[g][l].input, part, outer_[id]);
      }
      if (one_hot_)
        scatter_token_gradients<Cell>(
            tape_[0], call_.vocabulary, [&](long t, long b) { return id_at(t, b); }, rows,
            groups_.part(g, width_, kPanel, id, threads), d_table_ + g * d_table_size_);
      const GroupRows<Number> group(tape_[0], rows);
      sum_of_outer_products(
          groups_.part(g, call_.vocabulary, kRowsPerPart<Number>, id, threads), call_.hidden, group.count(),
          [&](long k) { return d_logits_ + group.at(k) * logits_; },
          [&](long k) { return hidden + group.at(k) * width_; }, 1, [](long) { return 0; },
          [&](long) { return d_output_[g]; }, [&](long) { return d_output_bias_[g]; }, outer_[id]);
    }
    if (!one_hot_)
      scatter_embedding_gradients(
          d_embedded_, call_.steps, call_.batch, embedded_stride_, call_.vocabulary, call_.embedding_size,
          [&](long t, long b) { return id_at(t, b); }, partition(embedded_stride_, kLanes, id, threads),
          call_.d_embedding);
  }

  void add_groups(int id, int threads) {
    if (one_hot_)
      sum_token_tables<Cell>(d_table_, groups_.count(), d_table_size_, call_.hidden, call_.vocabulary,
                             partition(width_, kTableBlock, id, threads), call_.gradients[0].input);
    for (long g = 1; g < groups_.count(); g++) {
      for (long l = 0; l < call_.layers; l++)
        add_layer_gradients<Cell>(sums_[0][l], sums_[g][l], num_multiplied_inputs(l), call_.hidden, id, threads);
      add_sums(d_output_[0], d_output_[g], call_.vocabulary * call_.hidden, id, threads);
      add_sums(d_output_bias_[0], d_output_bias_[g], call_.vocabulary, id, threads);
    }
  }

  const LanguageModelCall &call_;
  Arena arena_;
  const long width_, rows_, logits_;  // logits_: padded vocabulary size
  const bool one_hot_;
  const RowGroups<Number> groups_;
  LayerGradients sums_[kMaxGroups][kMaxLayers];  // of each group of rows; those of the first group are the result
  float *d_output_[kMaxGroups], *d_output_bias_[kMaxGroups];
  long d_table_size_;
  PackedLayer<Number> weights_[kMaxLayers];
  Tape<Number> tape_[kMaxLayers];
  Number *layer_output_[kMaxLayers];  // hidden states after dropout, the input of layer l + 1 or of the output layer
  float *last_hidden_[kMaxLayers], *last_cell_[kMaxLayers];
  OutputLayer<Number> output_;
  Number *embedded_, *output_back_, *d_logits_;
  long embedded_stride_;
  float *d_embedded_, *d_table_, *carry_, *losses_;
  float *scratch_[kMaxThreads];
  OuterScratch<Number> outer_[kMaxThreads];
};

template <class Cell, class Number>
static size_t run_language_model(Cell, Number, const LanguageModelCall &call, void *workspace) {
  LanguageModelStep<Cell, Number> step(call, workspace);
  if (workspace) step.run();
  return step.used();
}

}  // namespace
