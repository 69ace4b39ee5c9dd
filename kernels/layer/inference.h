// The forward pass of a single layer in one direction if no backward pass follows; layer.h has the passes of training.
//
// A row's result does not depend, to the last bit, on the other rows of the batch, on the number of threads, or on
// whether its steps come in one call or several: each sum has one order, whichever way below computes it.
#pragma once
#include "layer/layer.h"

namespace {

// Rows whose products with the input weights are computed together, so that these weights are read once for all of
// them. Rows of several steps, if the batch has fewer.
constexpr long kInputRows = 2 * kMicroRows;
// Calls of at most this number of steps read the weights as PyTorch lays them out: packing takes as long as about three
// reads from memory.
constexpr long kUnpackedSteps = 3;

// The arrays of a call. Without a backward pass the tape needs no gates, and its hidden states are y if these have no
// padding.
template <class Cell, class Number>
struct Inference {
  const LayerCall &call;
  Tape<Number> tape = make_tape<Number>(call);
  LayerInput<Number> input{};
  float *last_hidden = nullptr, *last_cell = nullptr;
  float *inputs_share = nullptr;  // (kInputRows, pre-activations, width); null if no two steps have so few rows
  float *scratch = nullptr;
  long scratch_each = 0;

  void allocate(Arena &arena) {
    if constexpr (std::is_same_v<Number, float>)
      if (tape.width == call.hidden && call.y_stride == call.hidden && !call.resets &&
          !(call.batch_sizes && call.backward_in_time))
        tape.hidden = call.y;
    allocate_tape<Cell>(arena, tape, false);
    input = allocate_input<Number>(arena, call);
    last_hidden = arena.allocate<float>(call.batch * tape.width);
    if (Cell::has_cell) last_cell = arena.allocate<float>(call.batch * tape.width);
    // The last steps of a packed batch have the fewest rows.
    if (call.steps > 1 && tape.rows_at(call.steps - 2) + tape.rows_at(call.steps - 1) <= kInputRows)
      inputs_share = arena.allocate<float>(round_up(min(call.rows(), kInputRows), kRowBlock<Number>) * row_size());
    scratch_each = scratch_size<Cell, Number>(call.batch);
    scratch = arena.allocate<float>(scratch_each * call.threads);
  }
  long row_size() const { return Cell::preactivations * tape.width; }

  template <class Weights>
  void run(const Weights &weights, Range rows, int id) const {
    if (rows.begin == rows.end) return;
    float *y = static_cast<const void *>(tape.hidden) == call.y ? nullptr : call.y, *own = scratch + id * scratch_each;
    load_initial_state<Cell>(tape, call.first_hidden, call.first_cell, rows, last_hidden, last_cell);
    load_input(call, rows, input);
    const auto x = input.rows();
    // The rows of several steps are adjacent only if the range has all rows of the batch.
    const bool shares_inputs = inputs_share && rows.end - rows.begin == call.batch;
    for (Range steps = {0, 0}; steps.begin < call.steps; steps.begin = steps.end) {
      steps.end = shares_inputs ? end_of_group(steps.begin) : call.steps;
      if (!shares_inputs || steps.end == steps.begin + 1) {
        forward_over_time<Cell>(
            tape, weights, rows, steps, [&](long, long) { return weights.initial; }, x, last_hidden, last_cell, y,
            call.y_stride, own);
        continue;
      }
      const long one = tape.time(steps.begin), other = tape.time(steps.end - 1), latest = max(one, other);
      const long first = tape.offset(min(one, other));
      multiply_inputs(weights, x.from(first), tape.offset(latest) + tape.rows_at(latest) - first);
      forward_over_time<Cell, Number>(
          tape, weights, rows, steps,
          [&](long t, long b) { return inputs_share + (tape.offset(t) - first + b) * row_size(); }, Left<Number>{},
          last_hidden, last_cell, y, call.y_stride, own);
    }
    unpad_rows(last_hidden, tape.width, rows, call.last_hidden, call.hidden);
    if (Cell::has_cell) unpad_rows(last_cell, tape.width, rows, call.last_cell, call.hidden);
  }

  // Returns the end of the steps from s on that have kInputRows rows at most; at least one step.
  long end_of_group(long s) const {
    long rows = tape.rows_at(tape.time(s++));
    while (s < call.steps && rows + tape.rows_at(tape.time(s)) <= kInputRows) rows += tape.rows_at(tape.time(s++));
    return s;
  }

  // Computes biases and the share of the input in the pre-activations of n rows.
  template <class Weights>
  void multiply_inputs(const Weights &weights, Left<Number> from, long n) const {
    for (long r = 0; r < n; r++) memcpy(inputs_share + r * row_size(), weights.initial, row_size() * sizeof(float));
    for (long u = 0; u < tape.width; u += kPanel)
      weights.template multiply_input<Cell>(n, from, u, 1, {inputs_share + u, row_size(), tape.width});
  }
};

template <class Cell, class Number>
static PackedLayer<Number> allocate_for_inference(Arena &arena, const LayerCall &call) {
  return allocate_packed_layer<Cell, Number>(arena, call.hidden, call.inputs, 1, true, false, true);
}

// Packs the weights of a call for any number of later calls.
template <class Cell, class Number>
static size_t run_pack_layer(Cell, Number, const LayerCall &call, void *packed) {
  Arena arena(packed);
  const auto weights = allocate_for_inference<Cell, Number>(arena, call);
  if (!packed) return arena.used();
  initialize_from_biases<Cell>(weights.initial, call.weights, call.hidden);
  pack_layer<Cell>(weights, call.weights, call.hidden, 0, 1);
  return arena.used();
}

template <class Cell, class Number>
static size_t run_layer_inference(Cell, Number, const LayerCall &call, void *workspace) {
  Arena arena(workspace);
  Inference<Cell, Number> inference{call};
  inference.allocate(arena);
  const long rows_each = (call.batch + call.threads - 1) / call.threads;
  if (call.packed) {
    if (!workspace) return arena.used();
    Arena packed(const_cast<void *>(call.packed));
    const auto weights = allocate_for_inference<Cell, Number>(packed, call);
    run_parallel(call.threads, call.off_cpu_seconds,
                 [&](int id, int threads) { inference.run(weights, rows_of_thread<Number>(call, id, threads), id); });
    return arena.used();
  }
  if constexpr (std::is_same_v<Number, float>)
    if (call.steps <= kUnpackedSteps && rows_each <= kUnpackedRows) {
      UnpackedLayer weights{call.weights, nullptr, call.inputs, call.hidden};
      weights.initial = arena.allocate<float>(inference.row_size());
      if (!workspace) return arena.used();
      initialize_from_biases<Cell>(weights.initial, call.weights, call.hidden);
      inference.inputs_share = nullptr;
      run_parallel(call.threads, call.off_cpu_seconds, [&](int id, int threads) {
        // Several times kUnpackedRows if OpenMP starts fewer threads than requested (OMP_THREAD_LIMIT, OMP_DYNAMIC).
        const Range rows = partition(call.batch, 1, id, threads);
        for (long b = rows.begin; b < rows.end; b += kUnpackedRows)
          inference.run(weights, Range{b, min(b + kUnpackedRows, rows.end)}, id);
      });
      return arena.used();
    }
  const auto weights = allocate_for_inference<Cell, Number>(arena, call);
  if (!workspace) return arena.used();
  initialize_from_biases<Cell>(weights.initial, call.weights, call.hidden);
  run_parallel(call.threads, call.off_cpu_seconds, [&](int id, int threads) {
    pack_layer<Cell>(weights, call.weights, call.hidden, id, threads);
    barrier(threads);
    inference.run(weights, rows_of_thread<Number>(call, id, threads), id);
  });
  return arena.used();
}

}  // namespace
