// One layer in one direction over all time steps, forward and backward, for some rows of the batch. gradients.h
// computes the gradients of weights afterwards.
//
// Rows of a batch are independent, so a thread takes its rows through all steps without synchronization. Within a step,
// panels of units follow one another: the products of all gates of a panel go to scratch, and the cell's equations are
// applied to them while they are in the first-level cache.
#pragma once
#include "layer/cells.h"
#include "layer/packed_layer.h"
#include "layer/tape.h"

namespace {

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

// Computes step s for some rows, which all have it; see forward_over_time.
template <class Cell, class Number, class Weights, class InitialRow>
static void forward_step(const Tape<Number> &tape, const Weights &weights, long s, Range rows, InitialRow initial_row,
                         Left<Number> x, float *last_hidden, float *last_cell, float *y, long y_stride,
                         float *scratch) {
  const long n = rows.end - rows.begin, width = tape.width, block = round_up(n, kRowBlock<Number>) * kPanel;
  // Cells with gates have enough sums in one panel.
  const long at_once = Cell::preactivations == 1 ? panels_at_once<Number>(n) : 1;
  const long t = tape.time(s), first_row = tape.offset(t) + rows.begin;
  const auto left = rows_of<Number>(tape.previous_hidden(s), width, tape.previous_scales(s)).from(rows.begin);
  Number *hidden = tape.hidden_after(s), *cells = tape.cells ? tape.cells_after(s) : nullptr;
  // Every other step takes the panels in reverse, so that it starts with weights that the step before has left in the
  // cache.
  const long size = at_once * kPanel, count = (width + size - 1) / size;
  for (long i = 0; i < count; i++) {
    const long u = (s % 2 ? count - 1 - i : i) * size, panels = min(at_once, (width - u) / kPanel);
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
    if (x.data) weights.template multiply_input<Cell>(n, x.from(first_row), u, panels, preactivations);
    weights.template multiply_hidden<Cell>(n, left, u, panels, {scratch + Cell::hidden_offset * block, kPanel, block});
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
        if constexpr (kTrains<Number>) {
          store(hidden + unit, h);
          prefetch(hidden + unit + panels * kPanel);
        }
        if (y) store_inside(y + (first_row + r) * y_stride + u + j, h, units - j);
        if constexpr (Cell::has_cell) {
          store(last_cell + unit, c);
          if constexpr (kTrains<Number>)
            if (cells) {
              store(cells + unit, c);
              prefetch(cells + unit + panels * kPanel);
            }
        }
        if constexpr (kTrains<Number>)
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
  if constexpr (!kTrains<Number>) tape.quantize_hidden(s, rows, last_hidden);
}

// Computes some steps for a range of rows.
//
// weights: PackedLayer or UnpackedLayer. initial_row(t, b): the initial pre-activations of that row. x: all rows of the
// input, or null if initial_row contains their share. last_hidden, last_cell: (batch, width), in: the
// initial state; out: the final state. y: (rows, hidden_size) with y_stride between rows, a copy of the hidden states
// in float32, or null.
template <class Cell, class Number, class Weights, class InitialRow>
static void forward_over_time(const Tape<Number> &tape, const Weights &weights, Range rows, Range steps,
                              InitialRow initial_row, Left<Number> x, float *last_hidden, float *last_cell, float *y,
                              long y_stride, float *scratch) {
  for (long s = steps.begin; s < steps.end; s++) {
    const Range with_step = tape.rows_of_step(s, rows);
    tape.reset_rows(s, with_step, last_hidden, last_cell);
    if (with_step.begin < with_step.end)
      forward_step<Cell>(tape, weights, s, with_step, initial_row, x, last_hidden, last_cell, y, y_stride, scratch);
    tape.start_rows(s, rows);
  }
}

// Computes the gradient of the layer's input in step s for some rows, which all have it, for some panels of inputs from
// j on, into scratch (panels, block).
template <class Cell, class Number>
static void gradient_of_input(const Tape<Number> &tape, const PackedLayer<Number> &weights, Range rows, long s, long j,
                              long panels, float *scratch) {
  const long n = rows.end - rows.begin, depth = Cell::gates * tape.width,
             block = round_up(n, kRowBlock<Number>) * kPanel;
  memset(scratch, 0, panels * block * sizeof(float));
  multiply(n, depth, rows_of<Number>(tape.template gates_row<Cell>(s, rows.begin), tape.template gates_stride<Cell>()),
           weights.input_back + j * depth, panels, {scratch, kPanel, block});
}

// Adds to `panels` panels of result, from unit u on, the gradients of the states before step s by the products of step
// s, for some rows, which all have it.
template <class Cell, class Number>
static void add_gradient_of_hidden(const Tape<Number> &tape, const PackedLayer<Number> &weights, Range rows, long s,
                                   long u, long panels, Result result) {
  const Number *gates = tape.template gates_row<Cell>(s, rows.begin) + Cell::hidden_offset * tape.width;
  multiply(rows.end - rows.begin, Cell::gates * tape.width, rows_of<Number>(gates, tape.template gates_stride<Cell>()),
           weights.hidden_back + u * Cell::gates * tape.width, panels, result);
}

// As add_gradient_of_hidden, for the first of `rows` rows of scratch. Tiles add to whole blocks of rows: what they
// would add to the others is undone.
template <class Cell, class Number>
static void add_to_first_rows(const Tape<Number> &tape, const PackedLayer<Number> &weights, Range with_next, long rows,
                              long s, long u, long panels, Result result) {
  constexpr long block = kRowBlock<Number>;
  float others[kPanelsForFewRows * block * kPanel];
  const long first = with_next.end - with_next.begin, count = min(round_up(first, block), rows) - first;
  const size_t size = count * kPanel * sizeof(float);
  if (first == 0) return;
  if constexpr (block > 1)
    for (long p = 0; p < panels; p++) memcpy(others + p * block * kPanel, result.from(first, p).data, size);
  add_gradient_of_hidden<Cell>(tape, weights, with_next, s, u, panels, result);
  if constexpr (block > 1)
    for (long p = 0; p < panels; p++) memcpy(result.from(first, p).data, others + p * block * kPanel, size);
}

// Copies the rows of `rows` that are reset, of `panels` panels, from one block to another.
CHARLOOM_INLINE void copy_reset_rows(const uint8_t *reset, Range rows, long panels, long block, const float *from,
                                     float *to) {
  for (long b = rows.begin; b < rows.end; b++)
    for (long p = 0; reset[b] && p < panels; p++) {
      const long at = p * block + (b - rows.begin) * kPanel;
      memcpy(to + at, from + at, kPanel * sizeof(float));
    }
}

// Backpropagates through step s for some rows, which all have it; see backward_over_time. with_next: those that have
// the next step too.
template <class Cell, class Number, class Upstream>
static void backward_step(const Tape<Number> &tape, const PackedLayer<Number> &weights, long s, Range rows,
                          Range with_next, Upstream upstream, const float *d_last_hidden, float *carry,
                          float *scratch) {
  const long n = rows.end - rows.begin, width = tape.width, block = round_up(n, kRowBlock<Number>) * kPanel;
  const long at_once = panels_at_once<Number>(n);
  const Number *previous_hidden = tape.previous_hidden(s);
  const Number *previous_cells = Cell::has_cell ? tape.previous_cells(s) : nullptr,
               *cells = Cell::has_cell ? tape.cells_after(s) : nullptr;
  const uint8_t *reset = tape.resets_before(s), *next_reset = s + 1 < tape.steps ? tape.resets_before(s + 1) : nullptr;
  for (long u = 0; u < width; u += at_once * kPanel) {
    const long panels = min(at_once, (width - u) / kPanel);
    upstream(s, u, panels, scratch);
    // The next step's gradient does not reach a row that is reset before it.
    float *kept_rows = scratch + panels * block;
    if (next_reset) copy_reset_rows(next_reset, with_next, panels, block, scratch, kept_rows);
    add_to_first_rows<Cell>(tape, weights, with_next, n, s + 1, u, panels, {scratch, kPanel, block});
    if (next_reset) copy_reset_rows(next_reset, with_next, panels, block, kept_rows, scratch);
    if (tape.hidden_size - u < panels * kPanel) clear_padding(scratch, n, block, panels, kPanel, tape.hidden_size - u);
    for (long r = 0; r < n; r++) {
      const long b = rows.begin + r;
      const bool is_reset = reset && reset[b];
      for (long j = 0; j < panels * kPanel; j += kLanes) {
        const long unit = b * width + u + j;
        Number *kept = tape.template gates_row<Cell>(s, b) + u + j;
        Vector gate[Cell::preactivations], carried{}, dh = load(scratch + j / kPanel * block + r * kPanel + j % kPanel);
        if (b >= with_next.end && d_last_hidden) dh += load(d_last_hidden + unit);
        for (int q = 0; q < Cell::preactivations; q++) gate[q] = load(kept + q * width);
        if constexpr (Cell::has_carry) carried = load(carry + unit);
        const Vector h_prev = load(previous_hidden + unit);
        prefetch(previous_hidden + unit + panels * kPanel);
        Vector c_prev{}, c{};
        if constexpr (Cell::has_cell) {
          if (!is_reset) c_prev = load(previous_cells + unit);
          prefetch(previous_cells + unit + panels * kPanel);
          c = load(cells + unit);
        }
        Cell::backward(gate, h_prev, c_prev, c, dh, carried);
        for (int q = 0; q < Cell::preactivations; q++) {
          store(kept + q * width, gate[q]);
          prefetch(kept + q * width + panels * kPanel);
        }
        if constexpr (Cell::has_carry) store(carry + unit, is_reset ? Vector{} : carried);
      }
    }
  }
}

// Computes the gradients of the initial hidden states of rows whose first step is s, into d_first_hidden (batch,
// width).
template <class Cell, class Number>
static void gradient_of_first_hidden(const Tape<Number> &tape, const PackedLayer<Number> &weights, long s, Range rows,
                                     const float *carry, float *d_first_hidden, float *scratch) {
  const long n = rows.end - rows.begin, width = tape.width, block = round_up(n, kRowBlock<Number>) * kPanel;
  const long at_once = panels_at_once<Number>(n);
  const uint8_t *reset = tape.resets_before(s);
  for (long u = 0; n > 0 && u < width; u += at_once * kPanel) {
    const long panels = min(at_once, (width - u) / kPanel);
    memset(scratch, 0, panels * block * sizeof(float));
    add_gradient_of_hidden<Cell>(tape, weights, rows, s, u, panels, {scratch, kPanel, block});
    for (long r = 0; r < n; r++)
      for (long j = 0; j < panels * kPanel; j += kLanes) {
        const long unit = (rows.begin + r) * width + u + j;
        Vector dh = load(scratch + j / kPanel * block + r * kPanel + j % kPanel);
        // The carry of a GRU is a gradient of the hidden state; that of an LSTM is the gradient of the cell state.
        if constexpr (Cell::has_carry && !Cell::has_cell) dh += load(carry + unit);
        store(d_first_hidden + unit, reset && reset[rows.begin + r] ? Vector{} : dh);
      }
  }
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
  Range with_next{rows.begin, rows.begin};
  for (long s = tape.steps - 1; s >= 0; s--) {
    const Range with_step = tape.rows_of_step(s, rows);
    with_next.end = min(with_next.end, with_step.end);
    if (with_step.begin < with_step.end)
      backward_step<Cell>(tape, weights, s, with_step, with_next, upstream, d_last_hidden, carry, scratch);
    with_next = with_step;
  }
  long started = rows.begin;
  for (long s = 0; d_first_hidden && s < tape.steps; s++) {
    const long end = tape.rows_of_step(s, rows).end;
    gradient_of_first_hidden<Cell>(tape, weights, s, {started, end}, carry, d_first_hidden, scratch);
    started = max(started, end);
  }
}

}  // namespace
