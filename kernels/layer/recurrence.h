// One layer in one direction over all time steps, forward and backward, for some rows of the batch. gradients.h
// computes the gradients of weights afterwards.
//
// Rows of a batch are independent, so a thread takes its rows through all steps without synchronization. Within a step,
// panels of units follow one another: the products of all gates of a panel go to scratch, and the cell's equations are
// applied to them while they are in the first-level cache.
#pragma once
#include "layer/cells.h"
#include "layer/packed_layer.h"

namespace {

// Copies rows (batch, hidden) to rows (batch, width) with zeros in the padding; unpad_rows copies them back, unless
// `to` is null.
template <class Number>
static void pad_rows(const float *from, long hidden, Range rows, Number *to, long width) {
  for (long b = rows.begin; b < rows.end; b++)
    for (long j = 0; j < width; j++) set(to + b * width + j, j < hidden ? from[b * hidden + j] : 0.f);
}
static void unpad_rows(const float *from, long width, Range rows, float *to, long hidden) {
  if (!to) return;
  for (long b = rows.begin; b < rows.end; b++) memcpy(to + b * hidden, from + b * width, hidden * sizeof(float));
}

// Sets the padding to zero in `count` blocks of sums, each panel_step units after the one before; `units` remain from
// the first block to the hidden size. Required for correctness: an infinite input times the zero weights of the padding
// is NaN, and the next step would spread it to every unit.
CHARLOOM_INLINE void clear_padding(float *sums, long rows, long block, long count, long panel_step, long units) {
  for (long i = 0; i < count; i++) {
    const long inside = max(0, min(kPanel, units - i * panel_step));
    if (inside < kPanel)
      for (long r = 0; r < rows; r++)
        memset(sums + i * block + r * kPanel + inside, 0, (kPanel - inside) * sizeof(float));
  }
}

// Stores the first `inside` lanes, or all if there are more.
CHARLOOM_INLINE void store_inside(float *to, Vector v, long inside) {
  if (inside >= kLanes)
    store(to, v);
  else if (inside > 0)
    memcpy(to, &v, inside * sizeof(float));
}

// The values that the forward pass saves for the backward pass, as an autograd tape. Step s of the recurrence is at
// index time(s) of the arrays.
template <class Number>
struct Tape {
  long steps = 0, batch = 0, hidden_size = 0;
  bool backward_in_time = false;
  long width = padded(hidden_size);
  Number *first_hidden = nullptr;  // (batch, width)
  // (steps, batch, width): H_t, which is also the left-hand side of the next step's product
  Number *hidden = nullptr;
  Number *first_cell = nullptr;  // (batch, width); LSTM only
  Number *cells = nullptr;       // (steps, batch, width); LSTM only, null without a backward pass
  // (steps, batch, gates_stride), of which (pre-activations, width) are used; null without a backward pass
  Number *gates = nullptr;

  long time(long s) const { return backward_in_time ? steps - 1 - s : s; }
  long at(long s) const { return time(s) * batch * width; }
  const Number *previous_hidden(long s) const { return s ? hidden + at(s - 1) : first_hidden; }
  const Number *previous_cells(long s) const { return s ? cells + at(s - 1) : first_cell; }
  // Distance of two rows of gates: one cache line more than they need. Rows a multiple of 4 kB apart would map to the
  // same sets of the first-level cache and evict each other.
  template <class Cell>
  long gates_stride() const {
    return Cell::preactivations * width + 64 / sizeof(Number);
  }
  template <class Cell>
  Number *gates_row(long s, long b) const {
    return gates + (time(s) * batch + b) * gates_stride<Cell>();
  }
};

// Allocates the arrays that a tape lacks. keep: a backward pass follows.
template <class Cell, class Number>
static void allocate_tape(Arena &arena, Tape<Number> &tape, bool keep) {
  const long rows = tape.steps * tape.batch, slack = kRowBlock<Number>;  // a block of rows may start at the last row
  tape.first_hidden = arena.allocate<Number>((tape.batch + slack) * tape.width);
  if (!tape.hidden) tape.hidden = arena.allocate<Number>((rows + slack) * tape.width);
  if (keep && Cell::has_cell) tape.first_cell = arena.allocate<Number>(tape.batch * tape.width);
  if (keep && Cell::has_cell) tape.cells = arena.allocate<Number>(rows * tape.width);
  if (keep) tape.gates = arena.allocate<Number>((rows + slack) * tape.template gates_stride<Cell>());
}

// Loads the initial state (batch, hidden) of some rows with padding: in float32 for the equations, and as the products
// read it.
template <class Cell, class Number>
static void load_initial_state(const Tape<Number> &tape, const float *hidden, const float *cell, Range rows,
                               float *last_hidden, float *last_cell) {
  pad_rows(hidden, tape.hidden_size, rows, last_hidden, tape.width);
  pad_rows(hidden, tape.hidden_size, rows, tape.first_hidden, tape.width);
  if (!Cell::has_cell) return;
  pad_rows(cell, tape.hidden_size, rows, last_cell, tape.width);
  if (tape.first_cell) pad_rows(cell, tape.hidden_size, rows, tape.first_cell, tape.width);
}

// With few rows, one panel would have too few independent sums to hide the latency of the multiplications; in tiles,
// few rows are one block of rows.
template <class Number>
constexpr long kFewRows = kRowBlock<Number> == 1 ? 2 : kRowBlock<Number>;
constexpr long kPanelsForFewRows = 4;
template <class Number>
CHARLOOM_INLINE long panels_at_once(long rows) {
  return rows <= kFewRows<Number> ? kPanelsForFewRows : 1;
}

// Returns the scratch, in floats, for up to `rows` rows.
template <class Cell, class Number>
static long scratch_size(long rows) {
  const long few = kPanelsForFewRows * kFewRows<Number>;
  return max(Cell::preactivations * round_up(rows, kRowBlock<Number>), few) * kPanel;
}

// Computes some steps for a range of rows.
//
// weights: PackedLayer or UnpackedLayer. initial_row(t, b): the initial pre-activations of that row. x: (steps, batch,
// x_stride), or null if initial_row contains the share of the input. last_hidden, last_cell: (batch, width), in: the
// initial state; out: the final state. y: (steps, batch, hidden_size) with y_stride between rows, a copy of the hidden
// states in float32, or null.
template <class Cell, class Number, class Weights, class InitialRow>
static void forward_over_time(const Tape<Number> &tape, const Weights &weights, Range rows, Range steps,
                              InitialRow initial_row, const Number *x, long x_stride, float *last_hidden,
                              float *last_cell, float *y, long y_stride, float *scratch) {
  const long n = rows.end - rows.begin, width = tape.width, block = round_up(n, kRowBlock<Number>) * kPanel;
  // Cells with gates have enough sums in one panel.
  const long at_once = Cell::preactivations == 1 ? panels_at_once<Number>(n) : 1;
  for (long s = steps.begin; s < steps.end; s++) {
    const long t = tape.time(s);
    for (long u = 0; u < width; u += at_once * kPanel) {
      const long panels = min(at_once, (width - u) / kPanel);
      for (long r = 0; r < n; r++) {
        const float *from = initial_row(t, rows.begin + r) + u;
        for (long p = 0; p < panels; p++)
          for (long q = 0; q < Cell::preactivations; q++) {
            memcpy(scratch + (p + q) * block + r * kPanel, from + q * width + p * kPanel, kPanel * sizeof(float));
            prefetch(from + q * width + (p + panels) * kPanel);
            prefetch(from + q * width + (p + panels) * kPanel + kLanes);
          }
      }
      const Result preactivations{scratch, kPanel, block};
      if (x)
        weights.template multiply_input<Cell>(n, rows_of(x + (t * tape.batch + rows.begin) * x_stride, x_stride), u,
                                              panels, preactivations);
      weights.template multiply_hidden<Cell>(n, rows_of(tape.previous_hidden(s) + rows.begin * width, width), u, panels,
                                             {scratch + Cell::hidden_offset * block, kPanel, block});
      const long units = tape.hidden_size - u;
      if (units < panels * kPanel)
        clear_padding(scratch, n, block, panels * Cell::preactivations, Cell::preactivations == 1 ? kPanel : 0, units);
      for (long r = 0; r < n; r++) {
        const long b = rows.begin + r;
        for (long j = 0; j < panels * kPanel; j += kLanes) {
          const float *at_unit = scratch + j / kPanel * block + r * kPanel + j % kPanel;
          const long unit = b * width + u + j;
          Vector gate[Cell::preactivations], h = load(last_hidden + unit), c{};
          for (int q = 0; q < Cell::preactivations; q++) gate[q] = load(at_unit + q * block);
          if constexpr (Cell::has_cell) c = load(last_cell + unit);
          Cell::forward(gate, h, c);
          store(last_hidden + unit, h);
          store(tape.hidden + tape.at(s) + unit, h);
          prefetch(tape.hidden + tape.at(s) + unit + panels * kPanel);
          if (y) store_inside(y + (t * tape.batch + b) * y_stride + u + j, h, units - j);
          if constexpr (Cell::has_cell) {
            store(last_cell + unit, c);
            if (tape.cells) {
              store(tape.cells + tape.at(s) + unit, c);
              prefetch(tape.cells + tape.at(s) + unit + panels * kPanel);
            }
          }
          if (tape.gates) {
            Number *keep = tape.template gates_row<Cell>(s, b) + u + j;
            for (int q = 0; q < Cell::preactivations; q++) {
              store(keep + q * width, gate[q]);
              prefetch(keep + q * width + panels * kPanel);
            }
          }
        }
      }
    }
  }
}

// Computes the gradient of the layer's input in step s, for some panels of inputs from j on, into scratch (panels,
// block).
template <class Cell, class Number>
static void gradient_of_input(const Tape<Number> &tape, const PackedLayer<Number> &weights, Range rows, long s, long j,
                              long panels, float *scratch) {
  const long n = rows.end - rows.begin, depth = Cell::gates * tape.width,
             block = round_up(n, kRowBlock<Number>) * kPanel;
  memset(scratch, 0, panels * block * sizeof(float));
  multiply(n, depth, rows_of<Number>(tape.template gates_row<Cell>(s, rows.begin), tape.template gates_stride<Cell>()),
           weights.input_back + j * depth, panels, {scratch, kPanel, block});
}

// Backpropagates through all steps for a range of rows, and replaces the saved gates on the tape with the gradients of
// the pre-activations.
//
// upstream(s, u, panels, scratch) initializes scratch with the upstream gradient of H_t. carry: (batch, width), the
// gradient that the cell passes to the previous step past the products; in: of the last step; out: of the first.
// d_last_hidden, d_first_hidden: (batch, width), or null.
template <class Cell, class Number, class Upstream>
static void backward_over_time(const Tape<Number> &tape, const PackedLayer<Number> &weights, Range rows,
                               Upstream upstream, const float *d_last_hidden, float *carry, float *d_first_hidden,
                               float *scratch) {
  const long n = rows.end - rows.begin, width = tape.width, block = round_up(n, kRowBlock<Number>) * kPanel;
  const long gates_stride = tape.template gates_stride<Cell>(), at_once = panels_at_once<Number>(n);
  auto add_from_step = [&](long s, long u, long panels) {
    multiply(n, Cell::gates * width,
             rows_of<Number>(tape.template gates_row<Cell>(s, rows.begin) + Cell::hidden_offset * width, gates_stride),
             weights.hidden_back + u * Cell::gates * width, panels, {scratch, kPanel, block});
  };
  for (long s = tape.steps - 1; s >= 0; s--)
    for (long u = 0; u < width; u += at_once * kPanel) {
      const long panels = min(at_once, (width - u) / kPanel);
      upstream(s, u, panels, scratch);
      if (s < tape.steps - 1) add_from_step(s + 1, u, panels);
      if (tape.hidden_size - u < panels * kPanel)
        clear_padding(scratch, n, block, panels, kPanel, tape.hidden_size - u);
      for (long r = 0; r < n; r++) {
        const long b = rows.begin + r;
        for (long j = 0; j < panels * kPanel; j += kLanes) {
          const long unit = b * width + u + j;
          Number *kept = tape.template gates_row<Cell>(s, b) + u + j;
          Vector gate[Cell::preactivations], carried{},
              dh = load(scratch + j / kPanel * block + r * kPanel + j % kPanel);
          if (s == tape.steps - 1 && d_last_hidden) dh += load(d_last_hidden + unit);
          for (int q = 0; q < Cell::preactivations; q++) gate[q] = load(kept + q * width);
          if constexpr (Cell::has_carry) carried = load(carry + unit);
          const Vector h_prev = load(tape.previous_hidden(s) + unit);
          prefetch(tape.previous_hidden(s) + unit + panels * kPanel);
          Vector c_prev{}, c{};
          if constexpr (Cell::has_cell) {
            c_prev = load(tape.previous_cells(s) + unit);
            prefetch(tape.previous_cells(s) + unit + panels * kPanel);
            c = load(tape.cells + tape.at(s) + unit);
          }
          Cell::backward(gate, h_prev, c_prev, c, dh, carried);
          for (int q = 0; q < Cell::preactivations; q++) {
            store(kept + q * width, gate[q]);
            prefetch(kept + q * width + panels * kPanel);
          }
          if constexpr (Cell::has_carry) store(carry + unit, carried);
        }
      }
    }
  if (!d_first_hidden) return;
  for (long u = 0; u < width; u += at_once * kPanel) {
    const long panels = min(at_once, (width - u) / kPanel);
    memset(scratch, 0, panels * block * sizeof(float));
    add_from_step(0, u, panels);
    for (long r = 0; r < n; r++)
      for (long j = 0; j < panels * kPanel; j += kLanes) {
        const long unit = (rows.begin + r) * width + u + j;
        Vector dh = load(scratch + j / kPanel * block + r * kPanel + j % kPanel);
        // The carry of a GRU is a gradient of the hidden state; that of an LSTM is the gradient of the cell state.
        if constexpr (Cell::has_carry && !Cell::has_cell) dh += load(carry + unit);
        store(d_first_hidden + unit, dh);
      }
  }
}

}  // namespace
