// A layer alone: forward and backward of torch.nn's RNN, GRU or LSTM in one direction.
#pragma once
#include "gradients.h"
#include "gru.h"
#include "lstm.h"
#include "rnn.h"

namespace {

using charloom::CellKind;
using charloom::kMaxLayers;
using charloom::LayerCall;
using charloom::Precision;

// Calls work.operator()<Cell, Number>() for the cell and the precision of a call.
template <class Work>
static auto for_cell(CellKind cell, Precision precision, Work work) {
  auto with = [&](auto number) {
    using Number = decltype(number);
    switch (cell) {
      case CellKind::rnn_tanh:
        return work(Rnn<Tanh>{}, Number{});
      case CellKind::rnn_relu:
        return work(Rnn<Relu>{}, Number{});
      case CellKind::gru:
        return work(Gru{}, Number{});
      default:
        return work(Lstm{}, Number{});
    }
  };
  return precision == Precision::bfloat16 ? with(bfloat16{}) : with(float{});
}

template <class Number>
constexpr bool kIsFloat = false;
template <>
constexpr bool kIsFloat<float> = true;

// What is kept from forward to backward, beside y. In bfloat16 that includes what the products read: the input and the
// hidden states, the first among them.
template <class Number>
struct Reserve {
  Tape<Number> tape;
  Number *x;
  long x_stride;
};

template <class Cell, class Number>
static Reserve<Number> take_reserve(Arena &arena, const LayerCall &call, bool keep) {
  const long width = padded(call.hidden), rows = call.steps * call.batch;
  Reserve<Number> r{Tape<Number>(call.steps, call.batch, width, call.backward_in_time), nullptr, call.inputs};
  if (keep) r.tape.gates = arena.take<Number>((rows + kRowBlock<Number>)*r.tape.template gates_stride<Cell>());
  if (keep && Cell::has_cell) r.tape.cells = arena.take<Number>(rows * width);
  if constexpr (kIsFloat<Number>) {
    r.tape.first_hidden = call.first_hidden;
    r.tape.first_cell = call.first_cell;
    r.tape.hidden = call.y;
    r.x = const_cast<float *>(call.x);
  } else {
    const long slack = kRowBlock<Number>;  // a block of rows may begin with the last
    r.x_stride = round_up(call.inputs, charloom::kPadding);
    r.tape.first_hidden = arena.take<Number>((call.batch + slack) * width);
    if (Cell::has_cell) r.tape.first_cell = arena.take<Number>(call.batch * width);
    r.tape.hidden = arena.take<Number>((rows + slack) * width);
    r.x = arena.take<Number>((rows + slack) * r.x_stride);
  }
  return r;
}

CHARLOOM_INLINE void round_row(bfloat16 *to, const float *from, long count, long size) {
  for (long j = 0; j < size; j++) set(to + j, j < count ? from[j] : 0.f);
}

template <class Cell, class Number>
static size_t run_layer_forward(const LayerCall &call, void *workspace) {
  Arena reserve_arena(call.reserve), arena(workspace);
  const bool keep = call.reserve != nullptr;
  const auto reserve = take_reserve<Cell, Number>(keep ? reserve_arena : arena, call, keep);
  const auto weights = take_packed_layer<Cell, Number>(arena, call.hidden, call.inputs, 1, true, false, true);
  const long scratch_each = scratch_size<Cell, Number>(call.batch);
  float *scratch = arena.take<float>(scratch_each * call.threads);
  if (!workspace) return arena.used();

  const long width = padded(call.hidden), state_size = call.batch * width;
  memcpy(call.last_hidden, call.first_hidden, state_size * sizeof(float));
  if (Cell::has_cell) memcpy(call.last_cell, call.first_cell, state_size * sizeof(float));
  start_from_biases<Cell>(weights.start, call.weights, call.hidden);
  in_parallel(call.threads, call.lost, [&](int id, int threads) {
    pack_layer<Cell>(weights, call.weights, call.hidden, id, threads);
    const Range mine = share(call.batch, kRowBlock<Number>, id, threads);
    if constexpr (!kIsFloat<Number>) {
      for (long b = mine.begin; b < mine.end; b++) {
        round_row(const_cast<Number *>(reserve.tape.first_hidden) + b * width, call.first_hidden + b * width, width,
                  width);
        if (Cell::has_cell)
          round_row(const_cast<Number *>(reserve.tape.first_cell) + b * width, call.first_cell + b * width, width,
                    width);
        for (long row = b; row < call.steps * call.batch; row += call.batch)
          round_row(reserve.x + row * reserve.x_stride, call.x + row * call.inputs, call.inputs, reserve.x_stride);
      }
    }
    barrier(threads);
    if (mine.begin < mine.end)
      forward_in_time<Cell>(
          reserve.tape, weights, mine, [&](long, long) { return weights.start; }, reserve.x, reserve.x_stride,
          call.last_hidden, call.last_cell, kIsFloat<Number> ? nullptr : call.y, scratch + id * scratch_each);
  });
  return 0;
}

template <class Cell, class Number>
static size_t run_layer_backward(const LayerCall &call, void *workspace) {
  Arena reserve_arena(call.reserve), arena(workspace);
  const auto reserve = take_reserve<Cell, Number>(reserve_arena, call, true);
  const long width = padded(call.hidden);
  const auto weights =
      take_packed_layer<Cell, Number>(arena, call.hidden, call.inputs, 0, false, true, call.dx != nullptr);
  float *carry = Cell::has_carry ? arena.take<float>(call.batch * width) : nullptr;
  const long scratch_each = scratch_size<Cell, Number>(call.batch);
  float *scratch = arena.take<float>(scratch_each * call.threads);
  const RowGroups<Number> groups(call.steps, call.batch);
  LayerGradients sums[kMaxGroups] = {call.gradients};
  for (long g = 1; g < groups.count(); g++)
    sums[g] = take_layer_gradients<Cell>(arena, call.inputs, call.hidden, call.gradients.hidden_bias != nullptr);
  OuterScratch<Number> outer[kMaxThreads];
  for (int i = 0; i < call.threads; i++) outer[i] = take_outer_scratch<Number>(arena, larger(call.hidden, call.inputs));
  if (!workspace) return arena.used();

  if (Cell::has_cell)
    memcpy(carry, call.d_last_cell, call.batch * width * sizeof(float));
  else if (Cell::has_carry)
    memset(carry, 0, call.batch * width * sizeof(float));
  in_parallel(call.threads, call.lost, [&](int id, int threads) {
    const auto &tape = reserve.tape;
    pack_layer<Cell>(weights, call.weights, call.hidden, id, threads);
    barrier(threads);
    const Range mine = share(call.batch, kRowBlock<Number>, id, threads);
    const long n = mine.end - mine.begin, block = round_up(n, kRowBlock<Number>) * kPanel;
    const long at_once = panels_at_once<Number>(n);
    float *own = scratch + id * scratch_each;
    if (n > 0) {
      backward_in_time<Cell>(
          tape, weights, mine,
          [&](long s, long u, long panels, float *to) {
            for (long r = 0; r < n; r++)
              for (long p = 0; p < panels; p++)
                memcpy(to + p * block + r * kPanel, call.dy + tape.at(s) + (mine.begin + r) * width + u + p * kPanel,
                       kPanel * sizeof(float));
          },
          call.d_last_hidden, carry, call.d_first_hidden, own);
      if (Cell::has_cell)
        memcpy(call.d_first_cell + mine.begin * width, carry + mine.begin * width, n * width * sizeof(float));
    }
    if (call.dx && n > 0)
      for (long s = 0; s < tape.steps; s++)
        for (long j = 0; j < call.inputs; j += at_once * kPanel) {
          const long panels = smaller(at_once, (padded(call.inputs) - j) / kPanel);
          memset(own, 0, panels * block * sizeof(float));
          multiply(n, Cell::gates * width,
                   rows_of<Number>(tape.template gates_row<Cell>(s, mine.begin), tape.template gates_stride<Cell>()),
                   weights.input_back + j * Cell::gates * width, panels, {own, kPanel, block});
          for (long r = 0; r < n; r++)
            for (long p = j; p < smaller(j + panels * kPanel, call.inputs); p += kPanel)
              memcpy(call.dx + (tape.time(s) * call.batch + mine.begin + r) * call.inputs + p,
                     own + (p - j) / kPanel * block + r * kPanel, smaller(kPanel, call.inputs - p) * sizeof(float));
        }
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
  return 0;
}

}  // namespace
