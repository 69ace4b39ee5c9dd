// One layer in one direction over time, forward and backward, for some rows of the batch.
//
// Rows of a batch know nothing of each other, so a thread takes its rows through all steps alone. Within a step, one
// panel of units after the other: the products of all gates land in scratch, then the cell's equations run on them
// while they are in the first-level cache.
#pragma once
#include "layer/cells.h"
#include "layer/packed_layer.h"

namespace {

// Units between the hidden size and the padded one: rows (batch, hidden) become rows (batch, width), and back,
// if they are wanted.
template <class Number>
static void pad_rows(const float *from, long hidden, Range rows, Number *to, long width) {
  for (long b = rows.begin; b < rows.end; b++)
    for (long j = 0; j < width; j++) set(to + b * width + j, j < hidden ? from[b * hidden + j] : 0.f);
}
static void unpad_rows(const float *from, long width, Range rows, float *to, long hidden) {
  if (!to) return;
  for (long b = rows.begin; b < rows.end; b++) memcpy(to + b * hidden, from + b * width, hidden * sizeof(float));
}

// Zeroes the padding's units in sums of `count` products or panels, `units` before the end of the hidden size. An
// infinite input times the padding's zero weights is NaN, which the next step would spread to every unit.
CHARLOOM_INLINE void clear_padding(float *sums, long rows, long block, long count, long panel_step, long units) {
  for (long i = 0; i < count; i++) {
    const long inside = larger(0, smaller(kPanel, units - i * panel_step));
    if (inside < kPanel)
      for (long r = 0; r < rows; r++)
        memset(sums + i * block + r * kPanel + inside, 0, (kPanel - inside) * sizeof(float));
  }
}

CHARLOOM_INLINE void store_inside(float *to, Vector v, long inside) {
  if (inside >= kLanes)
    store(to, v);
  else if (inside > 0)
    memcpy(to, &v, inside * sizeof(float));
}

// What the forward pass leaves for the backward pass. Step s of the recurrence is at time(s) of the arrays.
template <class Number>
struct Tape {
  long steps = 0, batch = 0, hidden_size = 0;
  bool backward_in_time = false;
  long width = padded(hidden_size);
  Number *first_hidden = nullptr;  // (batch, width)
  Number *hidden = nullptr;        // (steps, batch, width): H_t, and the left-hand side of the next step's product
  Number *first_cell = nullptr;    // (batch, width); LSTM only
  Number *cells = nullptr;         // (steps, batch, width); LSTM only, null where nothing is kept
  Number *gates = nullptr;         // (steps, batch, gates_stride), there (products, width); null where nothing is kept

  long time(long s) const { return backward_in_time ? steps - 1 - s : s; }
  long at(long s) const { return time(s) * batch * width; }
  const Number *hidden_before(long s) const { return s ? hidden + at(s - 1) : first_hidden; }
  const Number *cells_before(long s) const { return s ? cells + at(s - 1) : first_cell; }
  // From row to row of the gates: one line more than they need, for rows a multiple of 4 kB apart would push each other
  // out of the first-level cache.
  template <class Cell>
  long gates_stride() const {
    return Cell::products * width + 64 / sizeof(Number);
  }
  template <class Cell>
  Number *gates_row(long s, long b) const {
    return gates + (time(s) * batch + b) * gates_stride<Cell>();
  }
};

// Memory for what a tape lacks. keep: the backward pass needs it.
template <class Cell, class Number>
static void take_tape(Arena &arena, Tape<Number> &tape, bool keep) {
  const long rows = tape.steps * tape.batch, slack = kRowBlock<Number>;  // a block of rows may begin with the last
  tape.first_hidden = arena.take<Number>((tape.batch + slack) * tape.width);
  if (!tape.hidden) tape.hidden = arena.take<Number>((rows + slack) * tape.width);
  if (keep && Cell::has_cell) tape.first_cell = arena.take<Number>(tape.batch * tape.width);
  if (keep && Cell::has_cell) tape.cells = arena.take<Number>(rows * tape.width);
  if (keep) tape.gates = arena.take<Number>((rows + slack) * tape.template gates_stride<Cell>());
}

// The state (batch, hidden) that some rows begin with, padded: in float32, and as products read it.
template <class Cell, class Number>
static void begin_state(const Tape<Number> &tape, const float *hidden, const float *cell, Range rows,
                        float *last_hidden, float *last_cell) {
  pad_rows(hidden, tape.hidden_size, rows, last_hidden, tape.width);
  pad_rows(hidden, tape.hidden_size, rows, tape.first_hidden, tape.width);
  if (!Cell::has_cell) return;
  pad_rows(cell, tape.hidden_size, rows, last_cell, tape.width);
  if (tape.first_cell) pad_rows(cell, tape.hidden_size, rows, tape.first_cell, tape.width);
}

// One panel of so few rows would leave too few independent sums to keep the multipliers busy; of tiles, one block of
// rows.
template <class Number>
constexpr long kFewRows = kRowBlock<Number> == 1 ? 2 : kRowBlock<Number>;
constexpr long kPanelsOfFewRows = 4;
template <class Number>
CHARLOOM_INLINE long panels_at_once(long rows) {
  return rows <= kFewRows<Number> ? kPanelsOfFewRows : 1;
}

// Scratch for a slice of up to so many rows.
template <class Cell, class Number>
static long scratch_size(long rows) {
  const long few = kPanelsOfFewRows * kFewRows<Number>;
  return larger(Cell::products * round_up(rows, kRowBlock<Number>), few) * kPanel;
}

// start(t, b): what the products of that row start from. x: (steps, batch, x_stride), or null if `start` has the
// input's share. last_hidden, last_cell (batch, width): the first state, then the last. y: a copy of the hidden states
// in float32, (steps, batch, hidden_size), or null.
template <class Cell, class Number, class Start>
static void forward_in_time(const Tape<Number> &tape, const PackedLayer<Number> &weights, Range rows, Start start,
                            const Number *x, long x_stride, float *last_hidden, float *last_cell, float *y,
                            float *scratch) {
  const long n = rows.end - rows.begin, width = tape.width, block = round_up(n, kRowBlock<Number>) * kPanel;
  const long at_once = Cell::products == 1 ? panels_at_once<Number>(n) : 1;
  for (long s = 0; s < tape.steps; s++) {
    const long t = tape.time(s);
    for (long u = 0; u < width; u += at_once * kPanel) {
      const long panels = smaller(at_once, (width - u) / kPanel);
      for (long r = 0; r < n; r++) {
        const float *from = start(t, rows.begin + r) + u;
        for (long p = 0; p < panels; p++)
          for (long q = 0; q < Cell::products; q++) {
            memcpy(scratch + (p + q) * block + r * kPanel, from + q * width + p * kPanel, kPanel * sizeof(float));
            prefetch(from + q * width + (p + panels) * kPanel);
            prefetch(from + q * width + (p + panels) * kPanel + kLanes);
          }
      }
      const Result products{scratch, kPanel, block};
      if (x)
        multiply(n, weights.depth, rows_of(x + (t * tape.batch + rows.begin) * x_stride, x_stride),
                 weights.input + u / kPanel * Cell::gates * panel_size<Number>(weights.depth), panels * Cell::gates,
                 products);
      multiply(n, width, rows_of(tape.hidden_before(s) + rows.begin * width, width),
               weights.hidden + u / kPanel * Cell::gates * panel_size<Number>(width), panels * Cell::gates,
               {scratch + Cell::hidden_first * block, kPanel, block});
      const long units = tape.hidden_size - u;
      if (units < panels * kPanel)
        clear_padding(scratch, n, block, panels * Cell::products, Cell::products == 1 ? kPanel : 0, units);
      for (long r = 0; r < n; r++) {
        const long b = rows.begin + r;
        for (long j = 0; j < panels * kPanel; j += kLanes) {
          const float *at_unit = scratch + j / kPanel * block + r * kPanel + j % kPanel;
          const long unit = b * width + u + j;
          Vector gate[Cell::products], h = load(last_hidden + unit), c{};
          for (int q = 0; q < Cell::products; q++) gate[q] = load(at_unit + q * block);
          if constexpr (Cell::has_cell) c = load(last_cell + unit);
          Cell::forward(gate, h, c);
          store(last_hidden + unit, h);
          store(tape.hidden + tape.at(s) + unit, h);
          prefetch(tape.hidden + tape.at(s) + unit + panels * kPanel);
          if (y) store_inside(y + (t * tape.batch + b) * tape.hidden_size + u + j, h, units - j);
          if constexpr (Cell::has_cell) {
            store(last_cell + unit, c);
            if (tape.cells) {
              store(tape.cells + tape.at(s) + unit, c);
              prefetch(tape.cells + tape.at(s) + unit + panels * kPanel);
            }
          }
          if (tape.gates) {
            Number *keep = tape.template gates_row<Cell>(s, b) + u + j;
            for (int q = 0; q < Cell::products; q++) {
              store(keep + q * width, gate[q]);
              prefetch(keep + q * width + panels * kPanel);
            }
          }
        }
      }
    }
  }
}

// The gradient of what a layer read in step s, for some panels of its units from j on: to scratch, (panels, block).
template <class Cell, class Number>
static void gradient_of_input(const Tape<Number> &tape, const PackedLayer<Number> &weights, Range rows, long s, long j,
                              long panels, float *scratch) {
  const long n = rows.end - rows.begin, depth = Cell::gates * tape.width,
             block = round_up(n, kRowBlock<Number>) * kPanel;
  memset(scratch, 0, panels * block * sizeof(float));
  multiply(n, depth, rows_of<Number>(tape.template gates_row<Cell>(s, rows.begin), tape.template gates_stride<Cell>()),
           weights.input_back + j * depth, panels, {scratch, kPanel, block});
}

// Leaves the gradients of the products in the tape's gates. upstream(s, u, panels, scratch) starts scratch with the
// gradient of H_t from above. carry (batch, width): what the cell carries beside the products, from the last step's to
// the first's. d_last_hidden and d_first_hidden: (batch, width), or null.
template <class Cell, class Number, class Upstream>
static void backward_in_time(const Tape<Number> &tape, const PackedLayer<Number> &weights, Range rows,
                             Upstream upstream, const float *d_last_hidden, float *carry, float *d_first_hidden,
                             float *scratch) {
  const long n = rows.end - rows.begin, width = tape.width, block = round_up(n, kRowBlock<Number>) * kPanel;
  const long gates_stride = tape.template gates_stride<Cell>(), at_once = panels_at_once<Number>(n);
  auto add_from_step = [&](long s, long u, long panels) {
    multiply(n, Cell::gates * width,
             rows_of<Number>(tape.template gates_row<Cell>(s, rows.begin) + Cell::hidden_first * width, gates_stride),
             weights.hidden_back + u * Cell::gates * width, panels, {scratch, kPanel, block});
  };
  for (long s = tape.steps - 1; s >= 0; s--)
    for (long u = 0; u < width; u += at_once * kPanel) {
      const long panels = smaller(at_once, (width - u) / kPanel);
      upstream(s, u, panels, scratch);
      if (s < tape.steps - 1) add_from_step(s + 1, u, panels);
      if (tape.hidden_size - u < panels * kPanel)
        clear_padding(scratch, n, block, panels, kPanel, tape.hidden_size - u);
      for (long r = 0; r < n; r++) {
        const long b = rows.begin + r;
        for (long j = 0; j < panels * kPanel; j += kLanes) {
          const long unit = b * width + u + j;
          Number *kept = tape.template gates_row<Cell>(s, b) + u + j;
          Vector gate[Cell::products], carried{}, dh = load(scratch + j / kPanel * block + r * kPanel + j % kPanel);
          if (s == tape.steps - 1 && d_last_hidden) dh += load(d_last_hidden + unit);
          for (int q = 0; q < Cell::products; q++) gate[q] = load(kept + q * width);
          if constexpr (Cell::has_carry) carried = load(carry + unit);
          const Vector h_before = load(tape.hidden_before(s) + unit);
          prefetch(tape.hidden_before(s) + unit + panels * kPanel);
          Vector c_before{}, c{};
          if constexpr (Cell::has_cell) {
            c_before = load(tape.cells_before(s) + unit);
            prefetch(tape.cells_before(s) + unit + panels * kPanel);
            c = load(tape.cells + tape.at(s) + unit);
          }
          Cell::backward(gate, h_before, c_before, c, dh, carried);
          for (int q = 0; q < Cell::products; q++) {
            store(kept + q * width, gate[q]);
            prefetch(kept + q * width + panels * kPanel);
          }
          if constexpr (Cell::has_carry) store(carry + unit, carried);
        }
      }
    }
  if (!d_first_hidden) return;
  for (long u = 0; u < width; u += at_once * kPanel) {
    const long panels = smaller(at_once, (width - u) / kPanel);
    memset(scratch, 0, panels * block * sizeof(float));
    add_from_step(0, u, panels);
    for (long r = 0; r < n; r++)
      for (long j = 0; j < panels * kPanel; j += kLanes) {
        const long unit = (rows.begin + r) * width + u + j;
        Vector dh = load(scratch + j / kPanel * block + r * kPanel + j % kPanel);
        if constexpr (Cell::has_carry && !Cell::has_cell) dh += load(carry + unit);
        store(d_first_hidden + unit, dh);
      }
  }
}

}  // namespace
