// Products of a few rows with a packed matrix: the register-blocked inner loop of everything here.
//
// The right-hand side is packed in panels of kPanel columns (two vectors), so that the loop over k reads one stream.
// Results are added to what is there. For the recurrence that is a scratch that stays in the first-level cache: started
// with biases or the rows of a table, it ends as what the equations are applied to.
//
// float32 panel:   [k][kPanel].       bfloat16 panel: [k / 2][kPanel][2], pairs of rows side by side.
#pragma once
#include "tile_unit.h"
#include "vector.h"

namespace {

constexpr long kPanel = 2 * kLanes;
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kMaxRows = 12;  // 12 x 2 sums, 2 columns and 1 broadcast fill 27 of 32 registers
#else
constexpr int kMaxRows = 6;  // 15 of 16
#endif

CHARLOOM_INLINE long smaller(long a, long b) { return a < b ? a : b; }
CHARLOOM_INLINE long larger(long a, long b) { return a > b ? a : b; }
CHARLOOM_INLINE long round_up(long n, long to) { return (n + to - 1) / to * to; }

// Left-hand rows: element (i, k) at data[i * row_stride + k * k_stride], for bfloat16 the pair (i, 2k) at
// data[i * row_stride + k * k_stride].
template <class Number>
struct Left {
  const Number *data;
  long row_stride, k_stride;
};
template <class Number>
constexpr long kPanelHeader = 0;  // what a panel begins with, in Numbers
template <class Number>
constexpr long panel_size(long k_size) {
  return kPanelHeader<Number> + k_size * kPanel;
}
template <class Number>
constexpr long kPerStep = 1;  // values of k that one turn of the loop takes
template <>
constexpr long kPerStep<bfloat16> = 2;
template <class Number>
CHARLOOM_INLINE Left<Number> rows_of(const Number *data, long stride) {
  return {data, stride, kPerStep<Number>};
}

// sum += a b, a one value (or pair) for all lanes.
CHARLOOM_INLINE void multiply_add(Vector &sum, const float *a, Vector b) { sum += (*a - Vector{}) * b; }

struct Pairs {
  Words bits;
};
CHARLOOM_INLINE Vector load_columns(const float *panel) { return load(panel); }
CHARLOOM_INLINE Pairs load_columns(const bfloat16 *panel) {
  Pairs p;
  memcpy(&p, panel, sizeof p);
  return p;
}
CHARLOOM_INLINE void multiply_add(Vector &sum, const bfloat16 *a, Pairs b) {
#if defined(__AVX512BF16__)
  uint32_t pair;
  memcpy(&pair, a, sizeof pair);
  sum = (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32((int)pair), (__m512bh)b.bits);
#else
  sum += to_float(a[0]) * (Vector)(b.bits << 16);
  sum += to_float(a[1]) * (Vector)(b.bits & 0xffff0000u);
#endif
}

// Where results go: row i of panel p at data + p * panel_stride + i * row_stride.
struct Result {
  float *data;
  long row_stride, panel_stride;
};
CHARLOOM_INLINE Result scratch_of(float *scratch, long rows) { return {scratch, kPanel, rows * kPanel}; }

// result(p, i) += sum over k of left(i, k) panel_p(k), for ROWS rows and PANELS panels at once.
//
// Loops are innermost and counted, so that they unroll before the compiler decides what stays in registers; rows of the
// left-hand side are reached from every third, for more pointers than that would spill.
template <int ROWS, int PANELS, class Number>
static void multiply_block(long turns, Left<Number> left, const Number *panels, long panel_stride, Result result) {
  constexpr int sums = PANELS * ROWS, vectors = PANELS * 2;
  Vector sum[sums][2];
#pragma GCC unroll 16
  for (int s = 0; s < sums; s++) {
    const float *from = result.data + s / ROWS * result.panel_stride + s % ROWS * result.row_stride;
    sum[s][0] = load(from);
    sum[s][1] = load(from + kLanes);
  }
  const Number *rows[(ROWS + 2) / 3];
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i += 3) rows[i / 3] = left.data + i * left.row_stride;
  do {
    decltype(load_columns(panels)) b[vectors];
#pragma GCC unroll 16
    for (int v = 0; v < vectors; v++)
      b[v] = load_columns(panels + v / 2 * panel_stride + v % 2 * kLanes * kPerStep<Number>);
#pragma GCC unroll 16
    for (int s = 0; s < sums; s++) {
      const Number *a = rows[s % ROWS / 3] + s % ROWS % 3 * left.row_stride;
      multiply_add(sum[s][0], a, b[s / ROWS * 2]);
      multiply_add(sum[s][1], a, b[s / ROWS * 2 + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i += 3) rows[i / 3] += left.k_stride;
    panels += kPanel * kPerStep<Number>;
  } while (--turns > 0);
#pragma GCC unroll 16
  for (int s = 0; s < sums; s++) {
    float *to = result.data + s / ROWS * result.panel_stride + s % ROWS * result.row_stride;
    store(to, sum[s][0]);
    store(to + kLanes, sum[s][1]);
  }
}

template <class Number>
using Block = void (*)(long, Left<Number>, const Number *, long, Result);

template <int PANELS, class Number>
static void multiply_few_rows(long rows, long turns, Left<Number> left, const Number *panels, long stride,
                              Result result) {
  static constexpr Block<Number> blocks[] = {multiply_block<1, PANELS, Number>, multiply_block<2, PANELS, Number>};
  blocks[rows - 1](turns, left, panels, stride, result);
}

// result(p, i) += left(i, :) panel_p, for `panels` panels one after the other and k_size values of k (a multiple of
// kPerStep). Per result, sums run over k in order whatever the blocking: results do not depend on how rows are shared
// out among threads.
template <class Number>
static void multiply_vectors(long rows, long k_size, Left<Number> left, const Number *panel, long panels,
                             Result result) {
  static constexpr Block<Number> blocks[] = {
      multiply_block<1, 1, Number>,  multiply_block<2, 1, Number>,  multiply_block<3, 1, Number>,
      multiply_block<4, 1, Number>,  multiply_block<5, 1, Number>,  multiply_block<6, 1, Number>,
#if defined(__AVX512F__) || defined(__aarch64__)
      multiply_block<7, 1, Number>,  multiply_block<8, 1, Number>,  multiply_block<9, 1, Number>,
      multiply_block<10, 1, Number>, multiply_block<11, 1, Number>, multiply_block<12, 1, Number>,
#endif
  };
  const long stride = k_size * kPanel, turns = k_size / kPerStep<Number>;
  if (rows <= 2) {  // one panel would leave too few independent sums to keep the multipliers busy
    for (; panels >= 4; panels -= 4, panel += 4 * stride, result.data += 4 * result.panel_stride)
      multiply_few_rows<4>(rows, turns, left, panel, stride, result);
    if (panels == 3) multiply_few_rows<3>(rows, turns, left, panel, stride, result);
    if (panels == 2) multiply_few_rows<2>(rows, turns, left, panel, stride, result);
    if (panels == 1) multiply_few_rows<1>(rows, turns, left, panel, stride, result);
    return;
  }
  const long count = (rows + kMaxRows - 1) / kMaxRows, block = (rows + count - 1) / count;
  for (; panels > 0; panels--, panel += stride, result.data += result.panel_stride)
    for (long i = 0; i < rows; i += block)
      blocks[smaller(block, rows - i) - 1](
          turns, {left.data + i * left.row_stride, left.row_stride, left.k_stride}, panel, stride,
          {result.data + i * result.row_stride, result.row_stride, result.panel_stride});
}

}  // namespace

#if defined(CHARLOOM_TILES)
#include "tiles.h"
#else
namespace {
template <class Number>
constexpr long kRowBlock = 1;  // rows of results and of left-hand sides come in such blocks
template <class Number>
constexpr long kDepthBlock = kPerStep<Number>;  // k_size is a multiple of it
template <class Number>
CHARLOOM_INLINE void multiply(long rows, long k_size, Left<Number> left, const Number *panel, long panels,
                              Result result) {
  multiply_vectors(rows, k_size, left, panel, panels, result);
}
}  // namespace
#endif
