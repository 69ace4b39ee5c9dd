// Gradients of weights: sums of outer products over all steps and rows; and gradients of biases. recurrence.h has
// computed the gradients of the pre-activations before.
//
// The batch is split into groups of rows. Each group has its own sums, which are added at the end. Threads partition
// the sums of all groups together: two threads then read only what they have just written themselves, which is in their
// own caches. Groups depend on the shape alone, so results do not depend on the number of threads.
#pragma once
#include "layer/recurrence.h"

namespace {

using charloom::LayerGradients;

// Scratch of one thread for sum_of_outer_products.
template <class Number>
struct OuterScratch {
  Number *panels, *strip;
  float *block;
};
constexpr long kMaxDepth = 512;           // rows that are summed at once
constexpr long kMaxPanelBytes = 1 << 19;  // of packed right-hand side, so that it stays in the second-level cache

template <class Number>
static long outer_depth(long columns) {
  const long fitting = kMaxPanelBytes / static_cast<long>(sizeof(Number)) / round_up(columns, kPanel);
  return max(64, min(kMaxDepth, fitting / 64 * 64));
}
template <class Number>
static OuterScratch<Number> allocate_outer_scratch(Arena &arena, long max_columns) {
  OuterScratch<Number> scratch;
  scratch.panels = arena.allocate<Number>(outer_depth<Number>(max_columns) * round_up(max_columns, kPanel));
  scratch.strip = arena.allocate<Number>(kMaxDepth * kStrip<Number>);
  scratch.block = arena.allocate<float>(kPanel * kStrip<Number>);
  return scratch;
}

constexpr long kMaxGroups = 2;
constexpr long kMinGroupRows = 256;  // steps times rows: adding up smaller groups costs more than it saves

// The unit in which rows of results are partitioned: single rows, or whole strips if half-empty tiles would be computed
// otherwise.
template <class Number>
constexpr long kRowsPerPart = kRowBlock<Number> == 1 ? 1 : kStrip<Number>;

// The partition of a batch into groups of rows.
template <class Number>
class RowGroups {
 public:
  // rows: of all steps. batch_sizes: (steps), or null if padded.
  RowGroups(long steps, long batch, long rows, const int64_t *batch_sizes = nullptr)
      : steps_(steps),
        batch_(batch),
        batch_sizes_(batch_sizes),
        count_(batch > kRowBlock<Number> && rows >= kMaxGroups * kMinGroupRows ? kMaxGroups : 1) {}
  long count() const { return count_; }
  // No group is without rows, because the rows of a packed batch are sorted by length.
  Range rows(long group) const {
    return partition_rows(steps_, batch_, batch_sizes_, kRowBlock<Number>, (int)group, (int)count_);
  }

  // Returns the items of a group, of `size`, that belong to thread `id` if the items of all groups are partitioned
  // together, in blocks.
  Range part(long group, long size, long block, int id, int threads) const {
    const long each = round_up(size, block), first = group * each;
    const Range all = partition(count_ * each, block, id, threads);
    return {min(size, max(0, all.begin - first)), min(size, max(0, all.end - first))};
  }

 private:
  const long steps_, batch_;
  const int64_t *batch_sizes_;
  const long count_;
};

// Allocates the sums of an additional group. inputs: 0 if the input weights are looked up.
template <class Cell>
static LayerGradients allocate_layer_gradients(Arena &arena, long inputs, long hidden, bool biases) {
  const long rows = Cell::gates * hidden;
  return {arena.allocate<float>(rows * inputs), arena.allocate<float>(rows * hidden),
          biases ? arena.allocate<float>(rows) : nullptr, biases ? arena.allocate<float>(rows) : nullptr};
}

// Adds thread `id`'s part of the sums of an additional group.
CHARLOOM_INLINE void add_sums(float *to, const float *addend, long size, int id, int threads) {
  const Range my_range = partition(size, kPanel, id, threads);
  for (long i = my_range.begin; i < my_range.end; i++) to[i] += addend[i];
}
template <class Cell>
static void add_layer_gradients(const LayerGradients &to, const LayerGradients &addend, long inputs, long hidden,
                                int id, int threads) {
  const long rows = Cell::gates * hidden;
  add_sums(to.input, addend.input, rows * inputs, id, threads);
  add_sums(to.hidden, addend.hidden, rows * hidden, id, threads);
  if (to.input_bias) add_sums(to.input_bias, addend.input_bias, rows, id, threads);
  if (to.hidden_bias) add_sums(to.hidden_bias, addend.hidden_bias, rows, id, threads);
}

// to[i] (+)= sum over k < depth of rows[k][from + i], for i < count, at most a strip. first: the sum replaces to[i].
template <class Number>
static void add_rows(const Number *const *rows, long depth, long from, long count, bool first, float *to) {
  // Rows end in padding or slack, so whole vectors can be read.
  for (long i = 0; i < count; i += kLanes) {
    Vector sum{};
    for (long k = 0; k < depth; k++) sum += load(rows[k] + from + i);
    for (long lane = 0; lane < min(kLanes, count - i); lane++)
      to[i + lane] = first ? sum[lane] : to[i + lane] + sum[lane];
  }
}

// For each of `blocks` blocks of results: to(block)[i * columns + j] = sum over k < count of left(k)[offset(block) + i]
// right(k)[j], for rows i of my_range and all columns j. If sums(block) is not null, sums(block)[i] = sum over k of
// left(k)[offset(block) + i].
template <class LeftRow, class RightRow, class Offset, class To, class Sums, class Number>
static void sum_of_outer_products(Range my_range, long columns, long count, LeftRow left, RightRow right, long blocks,
                                  Offset offset, To to, Sums sums, const OuterScratch<Number> &scratch) {
  if (my_range.begin >= my_range.end) return;
  const long chunks = (count + outer_depth<Number>(columns) - 1) / outer_depth<Number>(columns);
  const long max_depth = round_up((count + chunks - 1) / chunks, 32);  // chunks of nearly equal depth
  const long panels = round_up(columns, kPanel) / kPanel;
  const long full_panels = columns / kPanel, size = columns * sizeof(float);
  const Number *left_rows[kMaxDepth], *right_rows[kMaxDepth];
  for (long first = 0; first < count; first += max_depth) {
    const long depth = min(max_depth, count - first), k_size = round_up(depth, kDepthBlock<Number>);
    for (long k = 0; k < depth; k++) {
      left_rows[k] = left(first + k);
      right_rows[k] = right(first + k);
    }
    for (long j = 0; j < columns; j += kPanel)
      pack_rows(scratch.panels + j * k_size, [&](long k) { return right_rows[k] + j; }, depth, k_size, columns - j);
    for (long block = 0; block < blocks; block++)
      for (long i = my_range.begin; i < my_range.end; i += kStrip<Number>) {
        const long rows = min(kStrip<Number>, my_range.end - i), from = offset(block) + i;
        float *result = to(block) + i * columns;
        if (first == 0) memset(result, 0, rows * size);
        const auto strip = pack_strip(scratch.strip, [&](long k) { return left_rows[k] + from; }, depth, k_size);
        if (float *sum = sums(block)) add_rows(left_rows, depth, from, rows, first == 0, sum + i);
        // Full panels and full blocks of rows are added to the result directly, others by way of scratch.
        const bool full_rows = rows % kRowBlock<Number> == 0;
        if (full_rows && full_panels)
          multiply(rows, k_size, strip, scratch.panels, full_panels, {result, columns, kPanel});
        for (long p = full_rows ? full_panels : 0; p < panels; p++) {
          memset(scratch.block, 0, round_up(rows, kRowBlock<Number>) * kPanel * sizeof(float));
          multiply(rows, k_size, strip, scratch.panels + p * kPanel * k_size, 1, {scratch.block, kPanel, 0});
          for (long r = 0; r < rows; r++)
            for (long j = 0; j < min(kPanel, columns - p * kPanel); j++)
              result[r * columns + p * kPanel + j] += scratch.block[r * kPanel + j];
        }
      }
  }
}

// result[j] = sum over k < count of row(k)[j], for j of my_range.
template <class Row>
static void sum_of_rows(Range my_range, long count, Row row, float *result) {
  // Rows end in padding or slack, so whole vectors can be read.
  for (long j = my_range.begin; j < my_range.end; j += kPanel) {
    Vector sum[2] = {};
    for (long k = 0; k < count; k++) {
      sum[0] += load(row(k) + j);
      sum[1] += load(row(k) + j + kLanes);
    }
    for (long v = 0; v < min(kPanel, my_range.end - j); v++) result[j + v] = sum[v / kLanes][v % kLanes];
  }
}

// The steps and rows of a group, enumerated by one index k. It is faster if k grows from call to call.
template <class Number>
class GroupRows {
 public:
  const Tape<Number> &tape;
  const Range rows;

  GroupRows(const Tape<Number> &tape, Range rows) : tape(tape), rows(rows) {}
  long count() const {
    long sum = 0;
    for (long s = 0; s < tape.steps; s++) sum += size(s);
    return sum;
  }
  template <class Cell>
  const Number *gates(long k) const {
    const long b = row(k);
    return tape.template gates_row<Cell>(step_, b);
  }
  const Number *previous_hidden(long k) const {
    const long b = row(k);
    return tape.previous_hidden(step_) + b * tape.width;
  }
  long at(long k) const {  // index into arrays (rows, ...)
    const long b = row(k);
    return tape.offset(tape.time(step_)) + b;
  }

 private:
  long size(long s) const {
    const Range with_step = tape.rows_of_step(s, rows);
    return with_step.end - with_step.begin;
  }
  // Moves to the step of index k, and returns its row.
  long row(long k) const {
    if (k < first_) step_ = first_ = 0;
    for (long n = size(step_); k >= first_ + n; n = size(step_)) {
      first_ += n;
      step_++;
    }
    return rows.begin + k - first_;
  }

  mutable long step_ = 0, first_ = 0;  // the last step that was asked for, and the index of its first row
};

// Computes rows my_range of the gradients of a layer for a group, except those of the input weights.
template <class Cell, class Number>
static void sum_recurrent_gradients(const GroupRows<Number> &group, long hidden, const LayerGradients &to,
                                    Range my_range, const OuterScratch<Number> &scratch) {
  if (my_range.begin >= my_range.end) return;
  const long width = group.tape.width;
  auto gates = [&](long k) { return group.template gates<Cell>(k); };
  sum_of_outer_products(
      my_range, hidden, group.count(), gates, [&](long k) { return group.previous_hidden(k); }, Cell::gates,
      [&](long i) { return (Cell::hidden_offset + i) * width; },
      [&](long i) { return to.hidden + Cell::hidden_gate[i] * hidden * hidden; },
      [&](long i) { return to.hidden_bias ? to.hidden_bias + Cell::hidden_gate[i] * hidden : nullptr; }, scratch);
  for (long i = 0; to.input_bias && i < Cell::gates; i++) {
    const long bias = Cell::input_gate[i] * hidden;
    // The gradients of both biases of a pre-activation are equal, and from here on the gates are in the same order.
    if (i >= Cell::hidden_offset)
      memcpy(to.input_bias + bias + my_range.begin, to.hidden_bias + bias + my_range.begin,
             (my_range.end - my_range.begin) * sizeof(float));
    else
      sum_of_rows(my_range, group.count(), [&](long k) { return gates(k) + i * width; }, to.input_bias + bias);
  }
}

// Computes rows my_range of the gradients of input weights that were multiplied with rows x (steps, batch, x_stride),
// for a group. Looked-up input has scatter_token_gradients instead.
template <class Cell, class Number>
static void sum_input_gradients(const GroupRows<Number> &group, long hidden, long inputs, const Number *x,
                                long x_stride, float *to, Range my_range, const OuterScratch<Number> &scratch) {
  sum_of_outer_products(
      my_range, inputs, group.count(), [&](long k) { return group.template gates<Cell>(k); },
      [&](long k) { return x + group.at(k) * x_stride; }, Cell::gates, [&](long i) { return i * group.tape.width; },
      [&](long i) { return to + Cell::input_gate[i] * hidden * inputs; },
      [](long) { return static_cast<float *>(nullptr); }, scratch);
}

}  // namespace
