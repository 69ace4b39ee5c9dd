// A single layer: forward and backward pass of torch.nn's RNN, GRU or LSTM in one direction, each in one call.
// language_model_step.h fuses all layers of a language model instead.
#pragma once
#include <type_traits>

#include "layer/gradients.h"

namespace {

using charloom::CellKind;
using charloom::kMaxLayers;
using charloom::LayerCall;

// Calls work(Cell{}, number) with the type of a cell.
template <class Number, class Work>
static auto for_cell(CellKind cell, Number number, Work work) {
  switch (cell) {
    case CellKind::rnn_tanh:
      return work(Rnn<Tanh>{}, number);
    case CellKind::rnn_relu:
      return work(Rnn<Relu>{}, number);
    case CellKind::gru:
      return work(Gru{}, number);
    default:
      return work(Lstm{}, number);
  }
}

template <class Number>
static Tape<Number> make_tape(const LayerCall &call) {
  return {call.steps, call.batch, call.hidden, call.backward_in_time, call.batch_sizes, call.offsets, call.resets};
}

// Returns the rows of thread `id`.
template <class Number>
static Range rows_of_thread(const LayerCall &call, int id, int threads) {
  return partition_rows(call.steps, call.batch, call.batch_sizes, kRowBlock<Number>, id, threads);
}

// The input as the products read it: the caller's in float32, otherwise a rounded copy with padding.
template <class Number>
struct LayerInput {
  Number *data;
  long stride;
  float *scales;  // of the rows, in int8

  Left<Number> rows() const { return rows_of<Number>(data, stride, scales); }
};
template <class Number>
static LayerInput<Number> allocate_input(Arena &arena, const LayerCall &call) {
  if constexpr (std::is_same_v<Number, float>) return {const_cast<float *>(call.x), call.inputs, nullptr};
  const long stride = padded(call.inputs);
  auto *data = arena.allocate<Number>((call.rows() + kRowBlock<Number>)*stride);
  return {data, stride, kTrains<Number> ? nullptr : arena.allocate<float>(call.rows())};
}
template <class Number>
static void load_input(const LayerCall &call, Range rows, const LayerInput<Number> &to) {
  if constexpr (std::is_same_v<Number, float>) return;
  const auto tape = make_tape<Number>(call);
  for (long s = 0; s < call.steps; s++) {
    const Range with_step = tape.rows_of_step(s, rows);
    const long first = tape.offset(tape.time(s));
    if constexpr (kTrains<Number>)
      pad_rows(call.x + first * call.inputs, call.inputs, with_step, to.data + first * to.stride, to.stride);
    else
      for (long row = first + with_step.begin; row < first + with_step.end; row++)
        to.scales[row] = quantize_row(call.x + row * call.inputs, call.inputs, to.stride, to.data + row * to.stride);
  }
}

// The layout of the reserve, which is kept from the forward to the backward pass. In bfloat16 it includes the input as
// the products read it.
template <class Number>
struct Reserve {
  Tape<Number> tape;
  LayerInput<Number> input;
};

template <class Cell, class Number>
static Reserve<Number> allocate_reserve(Arena &arena, const LayerCall &call) {
  auto tape = make_tape<Number>(call);
  // The backward pass has its own copy of the hidden states, because the caller may change y in place before it.
  allocate_tape<Cell>(arena, tape, true);
  return {tape, allocate_input<Number>(arena, call)};
}

template <class Cell, class Number>
static size_t reserve_size(Cell, Number, const LayerCall &call) {
  Arena arena(nullptr);
  allocate_reserve<Cell, Number>(arena, call);
  return arena.used();
}

template <class Cell, class Number>
static size_t run_layer_forward(Cell, Number, const LayerCall &call, void *workspace) {
  Arena reserve_arena(call.reserve), arena(workspace);
  const auto reserve = allocate_reserve<Cell, Number>(reserve_arena, call);
  const auto &tape = reserve.tape;
  const auto weights = allocate_packed_layer<Cell, Number>(arena, call.hidden, call.inputs, 1, true, false, true);
  float *last_hidden = arena.allocate<float>(call.batch * tape.width);
  float *last_cell = Cell::has_cell ? arena.allocate<float>(call.batch * tape.width) : nullptr;
  const long scratch_each = scratch_size<Cell, Number>(call.batch);
  float *scratch = arena.allocate<float>(scratch_each * call.threads);
  if (!workspace) return arena.used();

  initialize_from_biases<Cell>(weights.initial, call.weights, call.hidden);
  run_parallel(call.threads, call.off_cpu_seconds, [&](int id, int threads) {
    pack_layer<Cell>(weights, call.weights, call.hidden, id, threads);
    // A thread reads only the rows that it writes, so no barrier is needed between padding and steps; the one below is
    // for the weights.
    const Range my_range = rows_of_thread<Number>(call, id, threads);
    load_initial_state<Cell>(tape, call.first_hidden, call.first_cell, my_range, last_hidden, last_cell);
    load_input(call, my_range, reserve.input);
    barrier(threads);
    if (my_range.begin < my_range.end)
      forward_over_time<Cell>(
          tape, weights, my_range, {0, call.steps}, [&](long, long) { return weights.initial; }, reserve.input.rows(),
          last_hidden, last_cell, call.y, call.y_stride, scratch + id * scratch_each);
    unpad_rows(last_hidden, tape.width, my_range, call.last_hidden, call.hidden);
    if (Cell::has_cell) unpad_rows(last_cell, tape.width, my_range, call.last_cell, call.hidden);
  });
  return arena.used();
}

// Computes the gradient of the layer's input for a range of rows.
template <class Cell, class Number>
static void compute_dx(const LayerCall &call, const Tape<Number> &tape, const PackedLayer<Number> &weights, Range rows,
                       float *scratch) {
  for (long s = 0; s < tape.steps; s++) {
    const Range with_step = tape.rows_of_step(s, rows);
    const long n = with_step.end - with_step.begin, block = round_up(n, kRowBlock<Number>) * kPanel;
    const long at_once = panels_at_once<Number>(n), first = tape.offset(tape.time(s)) + rows.begin;
    for (long j = 0; n > 0 && j < call.inputs; j += at_once * kPanel) {
      const long panels = min(at_once, (padded(call.inputs) - j) / kPanel);
      gradient_of_input<Cell>(tape, weights, with_step, s, j, panels, scratch);
      for (long r = 0; r < n; r++)
        for (long p = j; p < min(j + panels * kPanel, call.inputs); p += kPanel)
          memcpy(call.dx + (first + r) * call.inputs + p, scratch + (p - j) / kPanel * block + r * kPanel,
                 min(kPanel, call.inputs - p) * sizeof(float));
    }
  }
}

// Copies the upstream gradients of H_t in step s to scratch, for some rows and some panels of units from u on.
template <class Number>
static void copy_dy(const LayerCall &call, const Tape<Number> &tape, Range rows, long s, long u, long panels,
                    float *scratch) {
  const Range with_step = tape.rows_of_step(s, rows);
  const long n = with_step.end - with_step.begin, block = round_up(n, kRowBlock<Number>) * kPanel;
  const float *dy = call.dy + (tape.offset(tape.time(s)) + rows.begin) * call.hidden + u;
  for (long r = 0; r < n; r++)
    for (long p = 0; p < panels; p++) {
      const long inside = max(0, min(kPanel, call.hidden - u - p * kPanel));
      memcpy(scratch + p * block + r * kPanel, dy + r * call.hidden + p * kPanel, inside * sizeof(float));
    }
}

template <class Cell, class Number>
static size_t run_layer_backward(Cell, Number, const LayerCall &call, void *workspace) {
  Arena reserve_arena(call.reserve), arena(workspace);
  const auto reserve = allocate_reserve<Cell, Number>(reserve_arena, call);
  const auto &tape = reserve.tape;
  const long width = tape.width;
  const auto weights =
      allocate_packed_layer<Cell, Number>(arena, call.hidden, call.inputs, 0, false, true, call.dx != nullptr);
  float *carry = Cell::has_carry ? arena.allocate<float>(call.batch * width) : nullptr;
  float *d_last_hidden = arena.allocate<float>(call.batch * width),
        *d_first_hidden = arena.allocate<float>(call.batch * width);
  const long scratch_each = scratch_size<Cell, Number>(call.batch) * (call.resets ? 2 : 1);
  float *scratch = arena.allocate<float>(scratch_each * call.threads);
  const RowGroups<Number> groups(call.steps, call.batch, call.rows(), call.batch_sizes);
  LayerGradients sums[kMaxGroups] = {call.gradients};
  for (long g = 1; g < groups.count(); g++)
    sums[g] = allocate_layer_gradients<Cell>(arena, call.inputs, call.hidden, call.gradients.hidden_bias != nullptr);
  OuterScratch<Number> outer[kMaxThreads];
  for (int i = 0; i < call.threads; i++)
    outer[i] = allocate_outer_scratch<Number>(arena, max(call.hidden, call.inputs));
  if (!workspace) return arena.used();

  run_parallel(call.threads, call.off_cpu_seconds, [&](int id, int threads) {
    pack_layer<Cell>(weights, call.weights, call.hidden, id, threads);
    const Range my_range = rows_of_thread<Number>(call, id, threads);
    pad_rows(call.d_last_hidden, call.hidden, my_range, d_last_hidden, width);
    if constexpr (Cell::has_cell)
      pad_rows(call.d_last_cell, call.hidden, my_range, carry, width);
    else if constexpr (Cell::has_carry)
      memset(carry + my_range.begin * width, 0, (my_range.end - my_range.begin) * width * sizeof(float));
    barrier(threads);
    float *own = scratch + id * scratch_each;
    if (my_range.begin < my_range.end) {
      backward_over_time<Cell>(
          tape, weights, my_range,
          [&](long s, long u, long panels, float *to) { copy_dy(call, tape, my_range, s, u, panels, to); },
          d_last_hidden, carry, d_first_hidden, own);
      unpad_rows(d_first_hidden, width, my_range, call.d_first_hidden, call.hidden);
      if constexpr (Cell::has_cell) unpad_rows(carry, width, my_range, call.d_first_cell, call.hidden);
    }
    if (call.dx) compute_dx<Cell>(call, tape, weights, my_range, own);
    // The sums below read the gates of all rows.
    barrier(threads);
    for (long g = 0; g < groups.count(); g++) {
      const GroupRows<Number> group(tape, groups.rows(g));
      const Range part = groups.part(g, call.hidden, kRowsPerPart<Number>, id, threads);
      sum_recurrent_gradients<Cell>(group, call.hidden, sums[g], part, outer[id]);
      sum_input_gradients<Cell>(group, call.hidden, call.inputs, reserve.input.data, reserve.input.stride,
                                sums[g].input, part, outer[id]);
    }
    if (groups.count() > 1) barrier(threads);
    for (long g = 1; g < groups.count(); g++)
      add_layer_gradients<Cell>(sums[0], sums[g], call.inputs, call.hidden, id, threads);
  });
  return arena.used();
}

}  // namespace
