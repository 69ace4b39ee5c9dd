// A layer alone: forward and backward of torch.nn's RNN, GRU or LSTM in one direction.
#pragma once
#include <type_traits>

#include "layer/gradients.h"

namespace {

using charloom::CellKind;
using charloom::kMaxLayers;
using charloom::LayerCall;

// Calls work(Cell{}, Number{}) for a cell, with Small numbers or float32.
template <class Small, class Work>
static auto for_cell(CellKind cell, bool small, Work work) {
  auto with = [&](auto number) {
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
  };
  return small ? with(Small{}) : with(float{});
}

// What is kept from forward to backward. In bfloat16 that includes the input as the products read it.
template <class Number>
struct Reserve {
  Tape<Number> tape;
  Number *x;
  long x_stride;
};

template <class Cell, class Number>
static Reserve<Number> take_reserve(Arena &arena, const LayerCall &call, bool keep) {
  Tape<Number> tape{call.steps, call.batch, call.hidden, call.backward_in_time};
  if constexpr (std::is_same_v<Number, float>) {
    // A caller may change y in place before the backward pass, which therefore has a copy of its own.
    if (!keep && tape.width == call.hidden) tape.hidden = call.y;
    take_tape<Cell>(arena, tape, keep);
    return {tape, const_cast<float *>(call.x), call.inputs};
  } else {
    take_tape<Cell>(arena, tape, keep);
    const long stride = padded(call.inputs);
    return {tape, arena.take<Number>((tape.steps * tape.batch + kRowBlock<Number>)*stride), stride};
  }
}

template <class Cell, class Number>
static size_t reserve_size(Cell, Number, const LayerCall &call) {
  Arena arena(nullptr);
  take_reserve<Cell, Number>(arena, call, true);
  return arena.used();
}

template <class Cell, class Number>
static size_t run_layer_forward(Cell, Number, const LayerCall &call, void *workspace) {
  Arena reserve_arena(call.reserve), arena(workspace);
  const bool keep = call.reserve != nullptr;
  const auto reserve = take_reserve<Cell, Number>(keep ? reserve_arena : arena, call, keep);
  const auto &tape = reserve.tape;
  const auto weights = take_packed_layer<Cell, Number>(arena, call.hidden, call.inputs, 1, true, false, true);
  float *last_hidden = arena.take<float>(call.batch * tape.width);
  float *last_cell = Cell::has_cell ? arena.take<float>(call.batch * tape.width) : nullptr;
  const long scratch_each = scratch_size<Cell, Number>(call.batch);
  float *scratch = arena.take<float>(scratch_each * call.threads);
  if (!workspace) return arena.used();

  float *y = static_cast<const void *>(tape.hidden) == call.y ? nullptr : call.y;
  start_from_biases<Cell>(weights.start, call.weights, call.hidden);
  in_parallel(call.threads, call.lost, [&](int id, int threads) {
    pack_layer<Cell>(weights, call.weights, call.hidden, id, threads);
    const Range mine = share(call.batch, kRowBlock<Number>, id, threads);
    begin_state<Cell>(tape, call.first_hidden, call.first_cell, mine, last_hidden, last_cell);
    if constexpr (!std::is_same_v<Number, float>)
      for (long row = 0; row < call.steps * call.batch; row += call.batch)
        pad_rows(call.x + row * call.inputs, call.inputs, mine, reserve.x + row * reserve.x_stride, reserve.x_stride);
    barrier(threads);
    if (mine.begin < mine.end)
      forward_in_time<Cell>(
          tape, weights, mine, [&](long, long) { return weights.start; }, reserve.x, reserve.x_stride, last_hidden,
          last_cell, y, scratch + id * scratch_each);
    unpad_rows(last_hidden, tape.width, mine, call.last_hidden, call.hidden);
    if (Cell::has_cell) unpad_rows(last_cell, tape.width, mine, call.last_cell, call.hidden);
  });
  return arena.used();
}

template <class Cell, class Number>
static void write_dx(const LayerCall &call, const Tape<Number> &tape, const PackedLayer<Number> &weights, Range rows,
                     float *scratch) {
  const long n = rows.end - rows.begin, block = round_up(n, kRowBlock<Number>) * kPanel;
  const long at_once = panels_at_once<Number>(n);
  for (long s = 0; s < tape.steps; s++)
    for (long j = 0; j < call.inputs; j += at_once * kPanel) {
      const long panels = smaller(at_once, (padded(call.inputs) - j) / kPanel);
      gradient_of_input<Cell>(tape, weights, rows, s, j, panels, scratch);
      for (long r = 0; r < n; r++)
        for (long p = j; p < smaller(j + panels * kPanel, call.inputs); p += kPanel)
          memcpy(call.dx + (tape.time(s) * call.batch + rows.begin + r) * call.inputs + p,
                 scratch + (p - j) / kPanel * block + r * kPanel, smaller(kPanel, call.inputs - p) * sizeof(float));
    }
}

template <class Cell, class Number>
static size_t run_layer_backward(Cell, Number, const LayerCall &call, void *workspace) {
  Arena reserve_arena(call.reserve), arena(workspace);
  const auto reserve = take_reserve<Cell, Number>(reserve_arena, call, true);
  const auto &tape = reserve.tape;
  const long width = tape.width;
  const auto weights =
      take_packed_layer<Cell, Number>(arena, call.hidden, call.inputs, 0, false, true, call.dx != nullptr);
  float *carry = Cell::has_carry ? arena.take<float>(call.batch * width) : nullptr;
  float *d_last_hidden = arena.take<float>(call.batch * width), *d_first_hidden = arena.take<float>(call.batch * width);
  const long scratch_each = scratch_size<Cell, Number>(call.batch);
  float *scratch = arena.take<float>(scratch_each * call.threads);
  const RowGroups<Number> groups(call.steps, call.batch);
  LayerGradients sums[kMaxGroups] = {call.gradients};
  for (long g = 1; g < groups.count(); g++)
    sums[g] = take_layer_gradients<Cell>(arena, call.inputs, call.hidden, call.gradients.hidden_bias != nullptr);
  OuterScratch<Number> outer[kMaxThreads];
  for (int i = 0; i < call.threads; i++) outer[i] = take_outer_scratch<Number>(arena, larger(call.hidden, call.inputs));
  if (!workspace) return arena.used();

  in_parallel(call.threads, call.lost, [&](int id, int threads) {
    pack_layer<Cell>(weights, call.weights, call.hidden, id, threads);
    const Range mine = share(call.batch, kRowBlock<Number>, id, threads);
    pad_rows(call.d_last_hidden, call.hidden, mine, d_last_hidden, width);
    if constexpr (Cell::has_cell)
      pad_rows(call.d_last_cell, call.hidden, mine, carry, width);
    else if constexpr (Cell::has_carry)
      memset(carry + mine.begin * width, 0, (mine.end - mine.begin) * width * sizeof(float));
    barrier(threads);
    const long n = mine.end - mine.begin, block = round_up(n, kRowBlock<Number>) * kPanel;
    float *own = scratch + id * scratch_each;
    if (n > 0) {
      backward_in_time<Cell>(
          tape, weights, mine,
          [&](long s, long u, long panels, float *to) {
            const float *dy = call.dy + (tape.time(s) * call.batch + mine.begin) * call.hidden + u;
            for (long r = 0; r < n; r++)
              for (long p = 0; p < panels; p++) {
                const long inside = larger(0, smaller(kPanel, call.hidden - u - p * kPanel));
                memcpy(to + p * block + r * kPanel, dy + r * call.hidden + p * kPanel, inside * sizeof(float));
              }
          },
          d_last_hidden, carry, d_first_hidden, own);
      unpad_rows(d_first_hidden, width, mine, call.d_first_hidden, call.hidden);
      if constexpr (Cell::has_cell) unpad_rows(carry, width, mine, call.d_first_cell, call.hidden);
    }
    if (call.dx && n > 0) write_dx<Cell>(call, tape, weights, mine, own);
    barrier(threads);
    for (long g = 0; g < groups.count(); g++) {
      const GroupRows<Number> group{tape, groups.rows(g)};
      const Range part = groups.part(g, call.hidden, kRowsShared<Number>, id, threads);
      sum_recurrent_gradients<Cell>(group, call.hidden, sums[g], part, outer[id]);
      sum_input_gradients<Cell>(group, call.hidden, call.inputs, reserve.x, reserve.x_stride, sums[g].input, part,
                                outer[id]);
    }
    if (groups.count() > 1) barrier(threads);
    for (long g = 1; g < groups.count(); g++)
      add_layer_gradients<Cell>(sums[0], sums[g], call.inputs, call.hidden, id, threads);
  });
  return arena.used();
}

}  // namespace
