// The weights of a layer, packed as right-hand sides of products, and the initial values of its pre-activations.
#pragma once
#include "kernels.h"
#include "layer/tape.h"
#include "products/unpacked.h"

namespace {

using charloom::LayerWeights;

// Panels of the forward products are in the order [panel of units][gate], so that one call of multiply() computes all
// gates of a panel. Panels of the backward products run over the rows of all gates.
template <class Number>
struct PackedLayer {
  Number *input = nullptr, *hidden = nullptr, *input_back = nullptr, *hidden_back = nullptr;
  float *initial = nullptr;   // initial pre-activations, (rows, pre-activations, width): biases; or one row a token
  long inputs, depth, width;  // depth: inputs rounded up to kDepthBlock; width: padded hidden size

  // Adds to `panels` panels of pre-activations, from unit u on, the products of n rows with the input weights (with the
  // hidden weights).
  template <class Cell>
  void multiply_input(long n, Left<Number> x, long u, long panels, Result result) const {
    multiply(n, depth, x, input + u / kPanel * Cell::gates * panel_size<Number>(depth), panels * Cell::gates, result);
  }
  template <class Cell>
  void multiply_hidden(long n, Left<Number> h, long u, long panels, Result result) const {
    multiply(n, width, h, hidden + u / kPanel * Cell::gates * panel_size<Number>(width), panels * Cell::gates, result);
  }
};

// The same interface for weights as PyTorch lays them out, for up to kUnpackedRows rows.
struct UnpackedLayer {
  LayerWeights weights;
  float *initial;
  long inputs, hidden_size;

  template <class Cell>
  void multiply_input(long n, Left<float> x, long u, long panels, Result result) const {
    multiply_gates<Cell>(n, x, weights.input, inputs, Cell::input_gate, u, panels, result);
  }
  template <class Cell>
  void multiply_hidden(long n, Left<float> h, long u, long panels, Result result) const {
    multiply_gates<Cell>(n, h, weights.hidden, hidden_size, Cell::hidden_gate, u, panels, result);
  }

 private:
  template <class Cell>
  void multiply_gates(long n, Left<float> left, const float *matrix, long depth, const int *gate, long u, long panels,
                      Result result) const {
    for (long p = 0; p < panels; p++)
      for (long i = 0; i < Cell::gates; i++) {
        const long unit = u + p * kPanel;
        multiply_unpacked(n, depth, left, matrix + (gate[i] * hidden_size + unit) * depth, hidden_size - unit,
                          result.from(0, p * Cell::gates + i));
      }
  }
};

template <class Cell, class Number>
static PackedLayer<Number> allocate_packed_layer(Arena &arena, long hidden, long inputs, long initial_rows,
                                                 bool forward, bool backward, bool dense_input) {
  PackedLayer<Number> packed;
  const long width = padded(hidden);
  packed.inputs = inputs;
  packed.width = width;
  packed.depth = round_up(inputs, kDepthBlock<Number>);
  packed.initial = arena.allocate<float>(initial_rows * Cell::preactivations * width);
  const long panels = Cell::gates * width / kPanel;
  if (forward) packed.hidden = arena.allocate<Number>(panels * panel_size<Number>(width));
  if (forward && dense_input) packed.input = arena.allocate<Number>(panels * panel_size<Number>(packed.depth));
  if (backward) packed.hidden_back = arena.allocate<Number>(Cell::gates * width * width);
  if (backward && dense_input) packed.input_back = arena.allocate<Number>(Cell::gates * width * padded(inputs));
  return packed;
}

// Packs the part of the weights that belongs to thread `id`.
template <class Cell, class Number>
static void pack_layer(const PackedLayer<Number> &to, const LayerWeights &from, long hidden, int id, int threads) {
  const long width = padded(hidden), inputs = to.inputs;
  const Range units = partition(width, kPanel, id, threads);
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
    const Range columns = to.input_back ? partition(padded(inputs), kPanel, id, threads) : Range{0, 0};
    for (long j = columns.begin; j < columns.end; j += kPanel)
      for (long i = 0; i < Cell::gates; i++)
        pack_rows(
            to.input_back + (j * Cell::gates + i * kPanel) * width,
            [&](long k) { return from.input + (Cell::input_gate[i] * hidden + k) * inputs + j; }, hidden, width,
            inputs - j);
  }
}

// Sets initial pre-activations (pre-activations, width) to the biases. Both biases of a pre-activation are added,
// except in the GRU's candidate, which keeps them apart.
template <class Cell>
static void initialize_from_biases(float *initial, const LayerWeights &from, long hidden) {
  const long width = padded(hidden);
  memset(initial, 0, Cell::preactivations * width * sizeof(float));
  for (long i = 0; i < Cell::gates; i++)
    for (long j = 0; j < hidden; j++) {
      if (from.input_bias) initial[i * width + j] += from.input_bias[Cell::input_gate[i] * hidden + j];
      if (from.hidden_bias)
        initial[(Cell::hidden_offset + i) * width + j] += from.hidden_bias[Cell::hidden_gate[i] * hidden + j];
    }
}

}  // namespace
