// Gradients of weights: sums over all steps and rows of outer products, and of biases.
//
// The batch is cut into groups of rows, each with sums of its own that are added up last. Threads share out the sums of
// all groups: two of them read only what they themselves have just written, which is near to them, and every result is
// the same whatever the number of threads, since the groups are of the shape alone.
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
constexpr long kMaxDepth = 512;         // rows summed at once
constexpr long kPanelsBytes = 1 << 19;  // of packed right-hand side: they stay in the second-level cache

template <class Number>
static long outer_depth(long columns) {
  const long fitting = kPanelsBytes / static_cast<long>(sizeof(Number)) / round_up(columns, kPanel);
  return larger(64, smaller(kMaxDepth, fitting / 64 * 64));
}
template <class Number>
static OuterScratch<Number> take_outer_scratch(Arena &arena, long max_columns) {
  OuterScratch<Number> scratch;
  scratch.panels = arena.take<Number>(outer_depth<Number>(max_columns) * round_up(max_columns, kPanel));
  scratch.strip = arena.take<Number>(kMaxDepth * kStrip<Number>);
  scratch.block = arena.take<float>(kPanel * kStrip<Number>);
  return scratch;
}

constexpr long kMaxGroups = 2;
constexpr long kRowsOfAGroup = 256;  // steps times rows: less is not worth the adding up

// Rows of results are shared out singly, or in whole strips where tiles would do half-empty ones.
template <class Number>
constexpr long kRowsShared = kRowBlock<Number> == 1 ? 1 : kStrip<Number>;

template <class Number>
class RowGroups {
 public:
  RowGroups(long steps, long batch)
      : batch_(batch),
        count_(batch > kRowBlock<Number> && steps * batch >= kMaxGroups * kRowsOfAGroup ? kMaxGroups : 1) {}
  long count() const { return count_; }
  Range rows(long group) const { return share(batch_, kRowBlock<Number>, group, count_); }

  // Of `size` items of a group those of thread `id`, where all groups' are shared out together, in blocks.
  Range part(long group, long size, long block, int id, int threads) const {
    const long each = round_up(size, block), first = group * each;
    const Range all = share(count_ * each, block, id, threads);
    return {smaller(size, larger(0, all.begin - first)), smaller(size, larger(0, all.end - first))};
  }

 private:
  const long batch_, count_;
};

// Memory for the sums of a further group. inputs: 0 where input weights are looked up.
template <class Cell>
static LayerGradients take_layer_gradients(Arena &arena, long inputs, long hidden, bool biases) {
  const long rows = Cell::gates * hidden;
  return {arena.take<float>(rows * inputs), arena.take<float>(rows * hidden),
          biases ? arena.take<float>(rows) : nullptr, biases ? arena.take<float>(rows) : nullptr};
}

// Thread `id`'s share of adding a further group's sums.
CHARLOOM_INLINE void add_sums(float *to, const float *more, long size, int id, int threads) {
  const Range mine = share(size, kPanel, id, threads);
  for (long i = mine.begin; i < mine.end; i++) to[i] += more[i];
}
template <class Cell>
static void add_layer_gradients(const LayerGradients &to, const LayerGradients &more, long inputs, long hidden, int id,
                                int threads) {
  const long rows = Cell::gates * hidden;
  add_sums(to.input, more.input, rows * inputs, id, threads);
  add_sums(to.hidden, more.hidden, rows * hidden, id, threads);
  if (to.input_bias) add_sums(to.input_bias, more.input_bias, rows, id, threads);
  if (to.hidden_bias) add_sums(to.hidden_bias, more.hidden_bias, rows, id, threads);
}

// to[i] (+)= sum over k < depth of rows[k][from + i], for i < count, at most a strip.
template <class Number>
static void add_rows(const Number *const *rows, long depth, long from, long count, bool first, float *to) {
  for (long i = 0; i < count; i += kLanes) {  // rows end in padding or slack
    Vector sum{};
    for (long k = 0; k < depth; k++) sum += load(rows[k] + from + i);
    for (long lane = 0; lane < smaller(kLanes, count - i); lane++)
      to[i + lane] = first ? sum[lane] : to[i + lane] + sum[lane];
  }
}

// For each of `blocks` blocks of results: to(block)[i * columns + j] = sum over k < count of
// left(k)[offset(block) + i] right(k)[j], for rows i of `mine` and all columns j; and to sums(block)[i], where there is
// one, the sum over k of left(k)[offset(block) + i].
template <class LeftRow, class RightRow, class Offset, class To, class Sums, class Number>
static void sum_of_outer_products(Range mine, long columns, long count, LeftRow left, RightRow right, long blocks,
                                  Offset offset, To to, Sums sums, const OuterScratch<Number> &scratch) {
  if (mine.begin >= mine.end) return;
  const long chunks = (count + outer_depth<Number>(columns) - 1) / outer_depth<Number>(columns);
  const long max_depth = round_up((count + chunks - 1) / chunks, 32);  // as deep as each other
  const long panels = round_up(columns, kPanel) / kPanel;
  const long whole_panels = columns / kPanel, size = columns * sizeof(float);
  const Number *left_rows[kMaxDepth], *right_rows[kMaxDepth];
  for (long first = 0; first < count; first += max_depth) {
    const long depth = smaller(max_depth, count - first), k_size = round_up(depth, kDepthBlock<Number>);
    for (long k = 0; k < depth; k++) {
      left_rows[k] = left(first + k);
      right_rows[k] = right(first + k);
    }
    for (long j = 0; j < columns; j += kPanel)
      pack_rows(scratch.panels + j * k_size, [&](long k) { return right_rows[k] + j; }, depth, k_size, columns - j);
    for (long block = 0; block < blocks; block++)
      for (long i = mine.begin; i < mine.end; i += kStrip<Number>) {
        const long rows = smaller(kStrip<Number>, mine.end - i), from = offset(block) + i;
        float *result = to(block) + i * columns;
        if (first == 0) memset(result, 0, rows * size);
        const auto strip = pack_strip(scratch.strip, [&](long k) { return left_rows[k] + from; }, depth, k_size);
        if (float *sum = sums(block)) add_rows(left_rows, depth, from, rows, first == 0, sum + i);
        // Straight into the result where it is made of whole panels and blocks of rows, else by way of scratch.
        const bool whole_rows = rows % kRowBlock<Number> == 0;
        if (whole_rows && whole_panels)
          multiply(rows, k_size, strip, scratch.panels, whole_panels, {result, columns, kPanel});
        for (long p = whole_rows ? whole_panels : 0; p < panels; p++) {
          memset(scratch.block, 0, round_up(rows, kRowBlock<Number>) * kPanel * sizeof(float));
          multiply(rows, k_size, strip, scratch.panels + p * kPanel * k_size, 1, {scratch.block, kPanel, 0});
          for (long r = 0; r < rows; r++)
            for (long j = 0; j < smaller(kPanel, columns - p * kPanel); j++)
              result[r * columns + p * kPanel + j] += scratch.block[r * kPanel + j];
        }
      }
  }
}

// result[j] = sum over k < count of row(k)[j], for j of `mine`.
template <class Row>
static void sum_of_rows(Range mine, long count, Row row, float *result) {
  for (long j = mine.begin; j < mine.end; j += kPanel) {  // rows end in padding or slack
    Vector sum[2] = {};
    for (long k = 0; k < count; k++) {
      sum[0] += load(row(k) + j);
      sum[1] += load(row(k) + j + kLanes);
    }
    for (long v = 0; v < smaller(kPanel, mine.end - j); v++) result[j + v] = sum[v / kLanes][v % kLanes];
  }
}

// The steps and rows of a group, as one count.
template <class Number>
struct GroupRows {
  const Tape<Number> &tape;
  Range rows;

  long count() const { return tape.steps * (rows.end - rows.begin); }
  long step(long k) const { return k / (rows.end - rows.begin); }
  long row(long k) const { return rows.begin + k % (rows.end - rows.begin); }
  template <class Cell>
  const Number *gates(long k) const {
    return tape.template gates_row<Cell>(step(k), row(k));
  }
  const Number *hidden_before(long k) const { return tape.hidden_before(step(k)) + row(k) * tape.width; }
  long at(long k) const { return tape.time(step(k)) * tape.batch + row(k); }  // of arrays (steps, batch, ...)
};

// Rows `mine` of a layer's gradients but those of the input weights, for a group.
template <class Cell, class Number>
static void sum_recurrent_gradients(const GroupRows<Number> &group, long hidden, const LayerGradients &to, Range mine,
                                    const OuterScratch<Number> &scratch) {
  if (mine.begin >= mine.end) return;
  const long width = group.tape.width;
  auto gates = [&](long k) { return group.template gates<Cell>(k); };
  sum_of_outer_products(
      mine, hidden, group.count(), gates, [&](long k) { return group.hidden_before(k); }, Cell::gates,
      [&](long i) { return (Cell::hidden_first + i) * width; },
      [&](long i) { return to.hidden + Cell::hidden_gate[i] * hidden * hidden; },
      [&](long i) { return to.hidden_bias ? to.hidden_bias + Cell::hidden_gate[i] * hidden : nullptr; }, scratch);
  for (long i = 0; to.input_bias && i < Cell::gates; i++) {
    const long bias = Cell::input_gate[i] * hidden;
    if (i >= Cell::hidden_first)  // the same sums, of gates in the same order
      memcpy(to.input_bias + bias + mine.begin, to.hidden_bias + bias + mine.begin,
             (mine.end - mine.begin) * sizeof(float));
    else
      sum_of_rows(mine, group.count(), [&](long k) { return gates(k) + i * width; }, to.input_bias + bias);
  }
}

// Rows `mine` of the gradients of input weights that were multiplied with rows x (steps, batch, x_stride), for a group.
template <class Cell, class Number>
static void sum_input_gradients(const GroupRows<Number> &group, long hidden, long inputs, const Number *x,
                                long x_stride, float *to, Range mine, const OuterScratch<Number> &scratch) {
  sum_of_outer_products(
      mine, inputs, group.count(), [&](long k) { return group.template gates<Cell>(k); },
      [&](long k) { return x + group.at(k) * x_stride; }, Cell::gates, [&](long i) { return i * group.tape.width; },
      [&](long i) { return to + Cell::input_gate[i] * hidden * inputs; },
      [](long) { return static_cast<float *>(nullptr); }, scratch);
}

}  // namespace
