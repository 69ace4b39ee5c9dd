// The weights of a layer as right-hand sides of products, and what its products start from.
#pragma once
#include "kernels.h"
#include "products/packing.h"
#include "runtime/arena.h"
#include "runtime/threads.h"

namespace {

using charloom::LayerWeights;
using charloom::padded;

template <class Number>
constexpr bool kTrains = sizeof(Number) > 1;  // in 8 bits there is no backward pass

// Panels of forward products: [panel of units][gate], so that one panel's gates
// are multiplied in one go; of backward products: over all gates' rows.
template <class Number>
struct PackedLayer {
  Number *input = nullptr, *hidden = nullptr, *input_back = nullptr, *hidden_back = nullptr;
  float *start = nullptr;  // what products start from, (rows, products, width): one row of biases, or one a token
  long inputs, depth;      // depth: inputs as multiply() counts them
};

template <class Cell, class Number>
static PackedLayer<Number> take_packed_layer(Arena &arena, long hidden, long inputs, long start_rows, bool forward,
                                             bool backward, bool dense_input) {
  PackedLayer<Number> packed;
  const long width = padded(hidden);
  packed.inputs = inputs;
  packed.depth = round_up(inputs, kDepthBlock<Number>);
  packed.start = arena.take<float>(start_rows * Cell::products * width);
  const long panels = Cell::gates * width / kPanel;
  if (forward) packed.hidden = arena.take<Number>(panels * panel_size<Number>(width));
  if (forward && dense_input) packed.input = arena.take<Number>(panels * panel_size<Number>(packed.depth));
  if (backward) packed.hidden_back = arena.take<Number>(Cell::gates * width * width);
  if (backward && dense_input) packed.input_back = arena.take<Number>(Cell::gates * width * padded(inputs));
  return packed;
}

// Thread `id`'s share of the packing.
template <class Cell, class Number>
static void pack_layer(const PackedLayer<Number> &to, const LayerWeights &from, long hidden, int id, int threads) {
  const long width = padded(hidden), inputs = to.inputs;
  const Range units = share(width, kPanel, id, threads);
  for (long u = units.begin; u < units.end; u += kPanel)
    for (long i = 0; i < Cell::gates; i++) {
      const long panel = u / kPanel * Cell::gates + i;
      const long input_row = Cell::input_gate[i] * hidden, hidden_row = Cell::hidden_gate[i] * hidden;
      if (to.input)
        pack_columns(to.input + panel * panel_size<Number>(to.depth), from.input + (input_row + u) * inputs, inputs,
                     inputs, to.depth, hidden - u);
      if (to.hidden)
        pack_columns(to.hidden + panel * panel_size<Number>(width), from.hidden + (hidden_row + u) * hidden, hidden,
                     hidden, width, hidden - u);
      if constexpr (kTrains<Number>)
        if (to.hidden_back)
          pack_rows(
              to.hidden_back + (u * Cell::gates + i * kPanel) * width,
              [&](long k) { return from.hidden + (hidden_row + k) * hidden + u; }, hidden, width, hidden - u);
    }
  if constexpr (kTrains<Number>) {
    const Range columns = to.input_back ? share(padded(inputs), kPanel, id, threads) : Range{0, 0};
    for (long j = columns.begin; j < columns.end; j += kPanel)
      for (long i = 0; i < Cell::gates; i++)
        pack_rows(
            to.input_back + (j * Cell::gates + i * kPanel) * width,
            [&](long k) { return from.input + (Cell::input_gate[i] * hidden + k) * inputs + j; }, hidden, width,
            inputs - j);
  }
}

// The biases of each product, (products, width): what is added up anyway starts with both.
template <class Cell>
static void start_from_biases(float *start, const LayerWeights &from, long hidden) {
  const long width = padded(hidden);
  memset(start, 0, Cell::products * width * sizeof(float));
  for (long i = 0; i < Cell::gates; i++)
    for (long j = 0; j < hidden; j++) {
      if (from.input_bias) start[i * width + j] += from.input_bias[Cell::input_gate[i] * hidden + j];
      if (from.hidden_bias)
        start[(Cell::hidden_first + i) * width + j] += from.hidden_bias[Cell::hidden_gate[i] * hidden + j];
    }
}

}  // namespace
