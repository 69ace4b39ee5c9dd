// The values that a layer's forward pass saves for the backward pass, in one direction, and their layout: the rows of
// each time step.
//
// A padded batch has the same rows in each step. In a packed batch, as in torch.nn.utils.rnn.PackedSequence, rows are
// sorted by length: step t has the rows before batch_sizes[t], and a row without a step keeps its state. A row of a
// padded batch can be reset: it then computes a step from the zero state.
#pragma once
#include "kernels.h"
#include "products/matmul.h"
#include "products/quantize.h"
#include "runtime/arena.h"
#include "runtime/threads.h"

namespace {

using charloom::padded;

// There is no backward pass in int8.
template <class Number>
constexpr bool kTrains = sizeof(Number) > 1;

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

// Returns part `id` of the rows of a batch, as `partition` does, but by work: the number of steps of each row.
// batch_sizes: (steps), descending; null if all rows have all steps.
static Range partition_rows(long steps, long batch, const int64_t *batch_sizes, long block, int id, int parts) {
  if (!batch_sizes) return partition(batch, block, id, parts);
  auto work_before = [&](long row) {
    long sum = 0;
    for (long t = 0; t < steps; t++) sum += min(row, batch_sizes[t]);
    return sum;
  };
  const long total = work_before(batch), blocks = (batch + block - 1) / block;
  // The first block before which there is the work of `part` parts, by bisection.
  auto first_row = [&](int part) {
    long low = 0, high = blocks;
    while (low < high) {
      const long middle = (low + high) / 2;
      if (work_before(middle * block) * parts < total * part)
        low = middle + 1;
      else
        high = middle;
    }
    return min(batch, low * block);
  };
  return {first_row(id), first_row(id + 1)};
}

// The values saved, as an autograd tape. Step s of the recurrence is at index time(s) of the arrays; `rows` is the
// number of rows of all steps.
template <class Number>
struct Tape {
  long steps = 0, batch = 0, hidden_size = 0;
  bool backward_in_time = false;
  const int64_t *batch_sizes = nullptr, *offsets = nullptr;  // (steps): rows, and rows of earlier times; null if padded
  const uint8_t *resets = nullptr;                           // as in LayerCall
  long width = padded(hidden_size);
  Number *first_hidden = nullptr;  // (batch, width)
  // (states, width): H_t, which is also the left-hand side of the next step's product
  Number *hidden = nullptr;
  float *first_scales = nullptr, *scales = nullptr;  // (batch) and (states): of the hidden states, in int8
  Number *first_cell = nullptr;                      // (batch, width); LSTM only
  Number *cells = nullptr;                           // (states, width); LSTM only, null without a backward pass
  // (rows, gates_stride), of which (pre-activations, width) are used; null without a backward pass
  Number *gates = nullptr;

  long time(long s) const { return backward_in_time ? steps - 1 - s : s; }
  long rows_at(long t) const { return batch_sizes ? batch_sizes[t] : batch; }
  // Returns the rows among `range` that have step s.
  Range rows_of_step(long s, Range range) const {
    return {range.begin, max(range.begin, min(range.end, rows_at(time(s))))};
  }
  // Returns the index of the first row of time t in arrays (rows, ...).
  long offset(long t) const { return offsets ? offsets[t] : t * batch; }
  // The same in arrays of states. Backward in time, each step but the last is followed by a step with at least as many
  // rows. Its states include those of rows that start in the next step, the initial states (start_rows), so that the
  // states before any step are adjacent.
  long state_offset(long t) const { return backward_in_time && t > 0 ? batch + offset(t - 1) : offset(t); }
  long num_rows() const { return offset(steps - 1) + rows_at(steps - 1); }
  // In both directions, because the size of the reserve does not depend on the direction.
  long num_states() const { return num_rows() + (batch_sizes ? batch : 0); }

  // Return the states after step s, and before it.
  Number *hidden_after(long s) const { return hidden + state_offset(time(s)) * width; }
  Number *cells_after(long s) const { return cells + state_offset(time(s)) * width; }
  Number *previous_hidden(long s) const { return s ? hidden_after(s - 1) : first_hidden; }
  float *previous_scales(long s) const { return s && scales ? scales + state_offset(time(s - 1)) : first_scales; }
  const Number *previous_cells(long s) const { return s ? cells_after(s - 1) : first_cell; }
  // Distance of two rows of gates: one cache line more than they need. Rows a multiple of 4 kB apart would map to the
  // same sets of the first-level cache and evict each other.
  template <class Cell>
  long gates_stride() const {
    return Cell::preactivations * width + 64 / sizeof(Number);
  }
  template <class Cell>
  Number *gates_row(long s, long b) const {
    return gates + (offset(time(s)) + b) * gates_stride<Cell>();
  }

  // Returns for each row whether it is reset before step s; null if no row is.
  const uint8_t *resets_before(long s) const {
    if (!resets || (backward_in_time && s == 0)) return nullptr;
    return resets + (backward_in_time ? time(s) + 1 : time(s)) * batch;
  }
  // Sets the state before step s of rows that are reset there to zero: the operands of the products, and last_hidden
  // and last_cell (batch, width), which may be null. The tape's cell states remain, since the backward pass of step
  // s - 1 reads them.
  void reset_rows(long s, Range range, float *last_hidden, float *last_cell) const {
    const uint8_t *reset = resets_before(s);
    for (long b = range.begin; reset && b < range.end; b++) {
      if (!reset[b]) continue;
      memset(previous_hidden(s) + b * width, 0, width * sizeof(Number));
      // Not finite if the state was: zero times it would be NaN.
      if (scales) previous_scales(s)[b] = 0.f;
      memset(last_hidden + b * width, 0, width * sizeof(float));
      if (last_cell) memset(last_cell + b * width, 0, width * sizeof(float));
    }
  }

  // Rounds the hidden states (batch, width) after step s of some rows to int8.
  void quantize_hidden(long s, Range range, const float *last_hidden) const {
    for (long b = range.begin; b < range.end; b++)
      scales[state_offset(time(s)) + b] =
          quantize_row(last_hidden + b * width, width, width, hidden_after(s) + b * width);
  }

  // Completes the states after step s with the initial states of the rows among `range` that start in the next step.
  void start_rows(long s, Range range) const {
    if (!batch_sizes || !backward_in_time || s + 1 == steps) return;
    const long first = rows_of_step(s, range).end, count = rows_of_step(s + 1, range).end - first;
    if (count <= 0) return;
    memcpy(hidden_after(s) + first * width, first_hidden + first * width, count * width * sizeof(Number));
    if (scales) memcpy(scales + state_offset(time(s)) + first, first_scales + first, count * sizeof(float));
    if (cells) memcpy(cells_after(s) + first * width, first_cell + first * width, count * width * sizeof(Number));
  }
};

// Allocates the arrays that a tape lacks. keep: a backward pass follows.
template <class Cell, class Number>
static void allocate_tape(Arena &arena, Tape<Number> &tape, bool keep) {
  const long slack = kRowBlock<Number>;  // a block of rows may start at the last row
  tape.first_hidden = arena.allocate<Number>((tape.batch + slack) * tape.width);
  if (!tape.hidden) tape.hidden = arena.allocate<Number>((tape.num_states() + slack) * tape.width);
  if constexpr (!kTrains<Number>) {
    tape.first_scales = arena.allocate<float>(tape.batch);
    tape.scales = arena.allocate<float>(tape.num_states());
  }
  if (keep && Cell::has_cell) tape.first_cell = arena.allocate<Number>(tape.batch * tape.width);
  if (keep && Cell::has_cell) tape.cells = arena.allocate<Number>(tape.num_states() * tape.width);
  if (keep) tape.gates = arena.allocate<Number>((tape.num_rows() + slack) * tape.template gates_stride<Cell>());
}

// Loads the initial state (batch, hidden) of some rows with padding: in float32 for the equations, and as the products
// read it.
template <class Cell, class Number>
static void load_initial_state(const Tape<Number> &tape, const float *hidden, const float *cell, Range rows,
                               float *last_hidden, float *last_cell) {
  pad_rows(hidden, tape.hidden_size, rows, last_hidden, tape.width);
  if (Cell::has_cell) pad_rows(cell, tape.hidden_size, rows, last_cell, tape.width);
  if constexpr (kTrains<Number>) {
    pad_rows(hidden, tape.hidden_size, rows, tape.first_hidden, tape.width);
    if (tape.first_cell) pad_rows(cell, tape.hidden_size, rows, tape.first_cell, tape.width);
  } else {
    for (long b = rows.begin; b < rows.end; b++)
      tape.first_scales[b] =
          quantize_row(last_hidden + b * tape.width, tape.width, tape.width, tape.first_hidden + b * tape.width);
  }
}

}  // namespace
