// Products of a few rows with a packed matrix: the register-blocked inner loop of everything here.
//
// The right-hand side is packed in panels of kPanel columns (two vectors), so that the loop over k reads one stream.
// Results are added to what is there. For the recurrence that is a scratch that stays in the first-level cache: started
// with biases or the rows of a table, it ends as what the equations are applied to.
//
// Panels, of kPerStep values of k for each column side by side:
//   float32    [k][kPanel]
//   bfloat16   [k / 2][kPanel][2]
//   int8       kPanel scales (float32), kPanel sums of the weights (int32), then [k / 4][kPanel][4]: for generation,
//              with weights that have one scale for each row of the matrix, and activations in steps of 1/127. Sums are
//              exact, so every instruction set gives the same.
#pragma once
#include <utility>

#include "kernels.h"
#include "products/vector.h"
#include "runtime/tile_unit.h"

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

template <class Number>
constexpr long kPerStep = 4 / sizeof(Number);  // values of k that one turn of the loop takes
template <class Number>
constexpr long kPanelHeader = sizeof(Number) == 1 ? 8 * kPanel : 0;  // what a panel begins with, in Numbers
template <class Number>
constexpr long panel_size(long k_size) {
  return kPanelHeader<Number> + k_size * kPanel;
}

// Left-hand rows: kPerStep values from (i, k) on at data[i * row_stride + k / kPerStep * k_stride].
template <class Number>
struct Left {
  const Number *data;
  long row_stride, k_stride;

  Left from(long row) const { return {data + row * row_stride, row_stride, k_stride}; }
};
template <class Number>
CHARLOOM_INLINE Left<Number> rows_of(const Number *data, long stride) {
  return {data, stride, kPerStep<Number>};
}

// Where results go: row i of panel p at data + p * panel_stride + i * row_stride.
struct Result {
  float *data;
  long row_stride, panel_stride;

  Result from(long row, long panel) const {
    return {data + row * row_stride + panel * panel_stride, row_stride, panel_stride};
  }
};

// What one vector of columns adds to a sum, for one value (pair, four) of a row.
CHARLOOM_INLINE Vector load_columns(const float *panel) { return load(panel); }
CHARLOOM_INLINE void multiply_add(Vector &sum, const float *a, Vector b) { sum += (*a - Vector{}) * b; }

CHARLOOM_INLINE Words load_columns(const bfloat16 *panel) { return read<Words>(panel); }
CHARLOOM_INLINE void multiply_add(Vector &sum, const bfloat16 *a, Words b) {
#if defined(__AVX512BF16__)
  sum = (Vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(read<int32_t>(a)), (__m512bh)b);
#else
  sum += to_float(a[0]) * (Vector)(b << 16);
  sum += to_float(a[1]) * (Vector)(b & 0xffff0000u);
#endif
}

CHARLOOM_INLINE Ints load_columns(const int8_t *panel) { return read<Ints>(panel); }
CHARLOOM_INLINE void multiply_add(Ints &sum, const int8_t *a, Ints b) {
#if defined(__AVX512VNNI__)
  // The instruction wants one side without sign: 128 more, which finish() takes off again.
  const int32_t four = read<int32_t>(a) ^ (int32_t)0x80808080;
  sum = (Ints)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(four), (__m512i)b);
#elif defined(__SSE2__)
  const int16_t a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
  const Ints even = Ints{} + (int32_t)((uint32_t)(uint16_t)a2 << 16 | (uint16_t)a0);
  const Ints odd = Ints{} + (int32_t)((uint32_t)(uint16_t)a3 << 16 | (uint16_t)a1);
  sum += pair_products((Shorts)b << 8 >> 8, (Shorts)even) + pair_products((Shorts)b >> 8, (Shorts)odd);
#else
  for (int i = 0; i < 4; i++) sum += (b << (24 - 8 * i) >> 24) * (int32_t)a[i];
#endif
}
#if defined(__AVX512VNNI__)
constexpr int32_t kOffset = 128;
#else
constexpr int32_t kOffset = 0;
#endif

// Sums begin with the result that is there, and go back to it; in integers they are added to it in the end. v: which
// vector of the panel's columns.
template <class Number>
CHARLOOM_INLINE Vector start(const float *result, const Number *) {
  return load(result);
}
CHARLOOM_INLINE Ints start(const float *, const int8_t *) { return Ints{}; }
template <class Number>
CHARLOOM_INLINE void finish(Vector sum, const Number *, int, float *result) {
  store(result, sum);
}
CHARLOOM_INLINE void finish(Ints sum, const int8_t *panel, int v, float *result) {
  const float *scales = reinterpret_cast<const float *>(panel);
  const Ints exact = sum - read<Ints>(scales + kPanel + v * kLanes) * kOffset;
  store(result, load(result) + __builtin_convertvector(exact, Vector) * load(scales + v * kLanes));
}

// result(p, i) += sum over k of left(i, k) panel_p(k), for ROWS rows and PANELS panels at once.
//
// Loops are innermost and counted, so that they unroll before the compiler decides what stays in registers; rows of the
// left-hand side are reached from every third, for more pointers than that would spill.
template <int ROWS, int PANELS, class Number>
static void multiply_block(long turns, Left<Number> left, const Number *panels, long panel_stride, Result result) {
  constexpr int sums = PANELS * ROWS, vectors = PANELS * 2;
  decltype(start(result.data, panels)) sum[sums][2];
#pragma GCC unroll 16
  for (int s = 0; s < sums; s++) {
    const float *from = result.from(s % ROWS, s / ROWS).data;
    sum[s][0] = start(from, panels);
    sum[s][1] = start(from + kLanes, panels);
  }
  const Number *rows[(ROWS + 2) / 3], *columns = panels + kPanelHeader<Number>;
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i += 3) rows[i / 3] = left.data + i * left.row_stride;
  do {
    decltype(load_columns(columns)) b[vectors];
#pragma GCC unroll 16
    for (int v = 0; v < vectors; v++)
      b[v] = load_columns(columns + v / 2 * panel_stride + v % 2 * kLanes * kPerStep<Number>);
#pragma GCC unroll 16
    for (int s = 0; s < sums; s++) {
      const Number *a = rows[s % ROWS / 3] + s % ROWS % 3 * left.row_stride;
      multiply_add(sum[s][0], a, b[s / ROWS * 2]);
      multiply_add(sum[s][1], a, b[s / ROWS * 2 + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i += 3) rows[i / 3] += left.k_stride;
    columns += kPanel * kPerStep<Number>;
  } while (--turns > 0);
#pragma GCC unroll 16
  for (int s = 0; s < sums; s++) {
    float *to = result.from(s % ROWS, s / ROWS).data;
    finish(sum[s][0], panels + s / ROWS * panel_stride, 0, to);
    finish(sum[s][1], panels + s / ROWS * panel_stride, 1, to + kLanes);
  }
}

// The block of `rows` rows; ROWS: all numbers below the most that there may be.
template <int PANELS, class Number, int... ROWS>
CHARLOOM_INLINE void multiply_rows(std::integer_sequence<int, ROWS...>, long rows, long turns, Left<Number> left,
                                   const Number *panels, long stride, Result result) {
  using Block = void (*)(long, Left<Number>, const Number *, long, Result);
  static constexpr Block blocks[] = {multiply_block<ROWS + 1, PANELS, Number>...};
  blocks[rows - 1](turns, left, panels, stride, result);
}

// result(p, i) += left(i, :) panel_p, for `panels` panels one after the other and k_size values of k (a multiple of
// kPerStep). Per result, sums run over k in order whatever the blocking: results do not depend on how rows are shared
// out among threads.
template <class Number>
static void multiply_vectors(long rows, long k_size, Left<Number> left, const Number *panel, long panels,
                             Result result) {
  const long stride = panel_size<Number>(k_size), turns = k_size / kPerStep<Number>;
  if (rows <= 2) {  // one panel would leave too few independent sums to keep the multipliers busy
    constexpr std::make_integer_sequence<int, 2> few;
    for (; panels >= 4; panels -= 4, panel += 4 * stride, result = result.from(0, 4))
      multiply_rows<4>(few, rows, turns, left, panel, stride, result);
    if (panels == 3) multiply_rows<3>(few, rows, turns, left, panel, stride, result);
    if (panels == 2) multiply_rows<2>(few, rows, turns, left, panel, stride, result);
    if (panels == 1) multiply_rows<1>(few, rows, turns, left, panel, stride, result);
    return;
  }
  if (sizeof(Number) == 1 && kOffset == 0) {  // without VNNI more rows would not stay in registers
    for (long i = 0; i < rows; i += 2)
      multiply_vectors(smaller(2, rows - i), k_size, left.from(i), panel, panels, result.from(i, 0));
    return;
  }
  const long count = (rows + kMaxRows - 1) / kMaxRows, block = (rows + count - 1) / count;
  for (long p = 0; p < panels; p++, panel += stride)
    for (long i = 0; i < rows; i += block)
      multiply_rows<1>(std::make_integer_sequence<int, kMaxRows>{}, smaller(block, rows - i), turns, left.from(i),
                       panel, stride, result.from(i, p));
}

// Rows of results and of left-hand sides come in blocks; k_size is a multiple of kDepthBlock; a strip, see packing.h,
// has so many rows.
#if defined(CHARLOOM_TILES)
template <class Number>
constexpr bool kInTiles = sizeof(Number) == 2;
#else
template <class Number>
constexpr bool kInTiles = false;
#endif
template <class Number>
constexpr long kRowBlock = kInTiles<Number> ? 16 : 1;
template <class Number>
constexpr long kStrip = kInTiles<Number> ? 32 : kMaxRows;
template <class Number>  // weights in 8 bits are packed a vector at a time
constexpr long kDepthBlock = kInTiles<Number> || sizeof(Number) == 1 ? charloom::kPadding : kPerStep<Number>;

// What multiplies: for all numbers but those that are multiplied in tiles.
template <class Number>
CHARLOOM_INLINE void multiply(long rows, long k_size, Left<Number> left, const Number *panel, long panels,
                              Result result) {
  multiply_vectors(rows, k_size, left, panel, panels, result);
}

}  // namespace

#if defined(CHARLOOM_TILES)
#include "products/tiles.h"
#endif
