// Products of a few rows with a packed matrix: the register-blocked micro-kernels that all kernels multiply with.
// tiles.h replaces them for bfloat16 if the processor has AMX; packing.h writes the layouts that they read. Source of
// the structure and its terms: BLIS (micro-kernel, panel, packing).
//
// The right-hand side is packed in panels of kPanel columns (two vectors, BLIS's NR), so that the loop over k reads one
// stream. Products are added to the result. In the recurrence the result is a scratch buffer that stays in the
// first-level cache: it is initialized with biases or with rows of a table, and ends as the pre-activations.
//
// Layout of a panel, with kVnniFactor values of k of each column adjacent (the VNNI layout of oneDNN and libxsmm):
//   float32    [k][kPanel]
//   bfloat16   [k / 2][kPanel][2]
//   int8       kPanel scales (float32), kPanel sums of the weights (int32), then [k / 4][kPanel][4]
// int8 is for inference. Weights have one scale for each row of the matrix, activations one for each row (quantize.h).
// Sums are exact, so every instruction set computes the same.
#pragma once
#include <utility>

#include "kernels.h"
#include "runtime/tile_unit.h"
#include "vector.h"

namespace {

constexpr long kPanel = 2 * kLanes;
// Rows of a micro-kernel (BLIS's MR), as many as leave no sum outside the registers: 12 x 2 sums, 2 columns and 1
// broadcast take 27 of 32 registers; 6 rows take 15 of 16.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kMicroRows = 12;
#else
constexpr int kMicroRows = 6;
#endif

CHARLOOM_INLINE long min(long a, long b) { return a < b ? a : b; }
CHARLOOM_INLINE long max(long a, long b) { return a > b ? a : b; }
CHARLOOM_INLINE long round_up(long n, long to) { return (n + to - 1) / to * to; }

// Values of k that one iteration of a micro-kernel takes: 32 bits of them.
template <class Number>
constexpr long kVnniFactor = 4 / sizeof(Number);
// Size of the scales and sums at the start of an int8 panel, in Numbers.
template <class Number>
constexpr long kPanelHeader = sizeof(Number) == 1 ? 8 * kPanel : 0;
template <class Number>
constexpr long panel_size(long k_size) {
  return kPanelHeader<Number> + k_size * kPanel;
}

// The rows of the left-hand side: kVnniFactor values from (i, k) on are at data[i * row_stride + k / kVnniFactor *
// k_stride].
template <class Number>
struct Left {
  const Number *data;
  long row_stride, k_stride;
  const float *scales = nullptr;  // of the rows, in int8

  Left from(long row) const {
    return {data + row * row_stride, row_stride, k_stride, sizeof(Number) == 1 ? scales + row : nullptr};
  }
};
template <class Number>
CHARLOOM_INLINE Left<Number> rows_of(const Number *data, long stride, const float *scales = nullptr) {
  return {data, stride, kVnniFactor<Number>, scales};
}

// The place of the results: row i of panel p is at data + p * panel_stride + i * row_stride.
struct Result {
  float *data;
  long row_stride, panel_stride;

  Result from(long row, long panel) const {
    return {data + row * row_stride + panel * panel_stride, row_stride, panel_stride};
  }
};

// load_columns reads one vector of a panel's columns. multiply_add adds to a sum their products with kVnniFactor values
// of one row.
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
  // The instruction multiplies unsigned by signed. 128 is added to each activation here, and store_sum subtracts its
  // products.
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
constexpr int32_t kActivationOffset = 128;
#else
constexpr int32_t kActivationOffset = 0;
#endif

// Floating-point sums start from the result in memory and are stored back. Integer sums start from zero; their scaled
// value is added to the result at the end. v: which vector of the panel. scale: of the row on the left.
template <class Number>
CHARLOOM_INLINE Vector load_sum(const float *result, const Number *) {
  return load(result);
}
CHARLOOM_INLINE Ints load_sum(const float *, const int8_t *) { return Ints{}; }
template <class Number>
CHARLOOM_INLINE void store_sum(Vector sum, const Number *, int, const float *, float *result) {
  store(result, sum);
}
CHARLOOM_INLINE void store_sum(Ints sum, const int8_t *panel, int v, const float *scale, float *result) {
  const float *scales = reinterpret_cast<const float *>(panel);
  const Ints exact = sum - read<Ints>(scales + kPanel + v * kLanes) * kActivationOffset;
  store(result, load(result) + __builtin_convertvector(exact, Vector) * load(scales + v * kLanes) * *scale);
}

// Prefetches the columns of later iterations. With few rows, a product takes as long as reading the panels, and the
// hardware prefetcher restarts at each page of each panel (see "lstm 80-256 x2, 1 step" of benchmarks/inference.py).
template <int VECTORS, class Number>
CHARLOOM_INLINE void prefetch_columns(const Number *columns, long panel_stride) {
  constexpr long bytes_ahead = 256;
#pragma GCC unroll 16
  for (int v = 0; v < VECTORS; v++)
    prefetch(reinterpret_cast<const char *>(columns + v / 2 * panel_stride + v % 2 * kLanes * kVnniFactor<Number>) +
             bytes_ahead);
}

// result(p, i) += sum over k of left(i, k) panel_p(k), for ROWS rows and PANELS panels at once.
//
// The inner loops have constant counts, so that they are unrolled before registers are allocated. The rows of the
// left-hand side are addressed from every third row: a pointer for each row would not fit in the registers.
template <int ROWS, int PANELS, class Number>
static void micro_kernel(long iterations, Left<Number> left, const Number *panels, long panel_stride, Result result) {
  constexpr int sums = PANELS * ROWS, vectors = PANELS * 2;
  decltype(load_sum(result.data, panels)) sum[sums][2];
#pragma GCC unroll 16
  for (int s = 0; s < sums; s++) {
    const float *from = result.from(s % ROWS, s / ROWS).data;
    sum[s][0] = load_sum(from, panels);
    sum[s][1] = load_sum(from + kLanes, panels);
  }
  const Number *rows[(ROWS + 2) / 3], *columns = panels + kPanelHeader<Number>;
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; i += 3) rows[i / 3] = left.data + i * left.row_stride;
  do {
    decltype(load_columns(columns)) b[vectors];
#pragma GCC unroll 16
    for (int v = 0; v < vectors; v++)
      b[v] = load_columns(columns + v / 2 * panel_stride + v % 2 * kLanes * kVnniFactor<Number>);
    if constexpr (ROWS <= 2) prefetch_columns<vectors>(columns, panel_stride);
#pragma GCC unroll 16
    for (int s = 0; s < sums; s++) {
      const Number *a = rows[s % ROWS / 3] + s % ROWS % 3 * left.row_stride;
      multiply_add(sum[s][0], a, b[s / ROWS * 2]);
      multiply_add(sum[s][1], a, b[s / ROWS * 2 + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i += 3) rows[i / 3] += left.k_stride;
    columns += kPanel * kVnniFactor<Number>;
  } while (--iterations > 0);
#pragma GCC unroll 16
  for (int s = 0; s < sums; s++) {
    float *to = result.from(s % ROWS, s / ROWS).data;
    const float *scale = left.from(s % ROWS).scales;
    store_sum(sum[s][0], panels + s / ROWS * panel_stride, 0, scale, to);
    store_sum(sum[s][1], panels + s / ROWS * panel_stride, 1, scale, to + kLanes);
  }
}

// Calls the micro-kernel for `rows` rows. ROWS: the integers below the largest number of rows.
template <int PANELS, class Number, int... ROWS>
CHARLOOM_INLINE void run_micro_kernel(std::integer_sequence<int, ROWS...>, long rows, long iterations,
                                      Left<Number> left, const Number *panels, long stride, Result result) {
  using MicroKernel = void (*)(long, Left<Number>, const Number *, long, Result);
  static constexpr MicroKernel kernels[] = {micro_kernel<ROWS + 1, PANELS, Number>...};
  kernels[rows - 1](iterations, left, panels, stride, result);
}

// result(p, i) += left(i, :) panel_p, for `panels` consecutive panels and k_size values of k (a multiple of
// kVnniFactor).
//
// Each sum runs over k in ascending order whatever the blocking, so results do not depend on how threads partition the
// rows.
template <class Number>
static void multiply_vectors(long rows, long k_size, Left<Number> left, const Number *panel, long panels,
                             Result result) {
  const long stride = panel_size<Number>(k_size), iterations = k_size / kVnniFactor<Number>;
  // One panel would have too few independent sums to hide the latency of the multiplications.
  if (rows <= 2) {
    constexpr std::make_integer_sequence<int, 2> few;
    for (; panels >= 4; panels -= 4, panel += 4 * stride, result = result.from(0, 4))
      run_micro_kernel<4>(few, rows, iterations, left, panel, stride, result);
    if (panels == 3) run_micro_kernel<3>(few, rows, iterations, left, panel, stride, result);
    if (panels == 2) run_micro_kernel<2>(few, rows, iterations, left, panel, stride, result);
    if (panels == 1) run_micro_kernel<1>(few, rows, iterations, left, panel, stride, result);
    return;
  }
  // Without VNNI, the widened operands of more rows would not fit in the registers.
  if (sizeof(Number) == 1 && kActivationOffset == 0) {
    for (long i = 0; i < rows; i += 2)
      multiply_vectors(min(2, rows - i), k_size, left.from(i), panel, panels, result.from(i, 0));
    return;
  }
  // Blocks of nearly equal size: a last block of one or two rows would be slow.
  const long count = (rows + kMicroRows - 1) / kMicroRows, block = (rows + count - 1) / count;
  for (long p = 0; p < panels; p++, panel += stride)
    for (long i = 0; i < rows; i += block)
      run_micro_kernel<1>(std::make_integer_sequence<int, kMicroRows>{}, min(block, rows - i), iterations, left.from(i),
                          panel, stride, result.from(i, p));
}

// The multiples in which multiply() takes its operands. Results and left-hand sides have rows in multiples of kRowBlock
// in memory, and k_size is a multiple of kDepthBlock. kStrip: rows of a strip, see packing.h.
#if defined(CHARLOOM_TILES)
template <class Number>
constexpr bool kUsesTiles = sizeof(Number) == 2;
#else
template <class Number>
constexpr bool kUsesTiles = false;
#endif
template <class Number>
constexpr long kRowBlock = kUsesTiles<Number> ? 16 : 1;
template <class Number>
constexpr long kStrip = kUsesTiles<Number> ? 32 : kMicroRows;
// int8 weights are packed one vector at a time.
template <class Number>
constexpr long kDepthBlock = kUsesTiles<Number> || sizeof(Number) == 1 ? charloom::kPadding : kVnniFactor<Number>;

// The entry point of all products. tiles.h overloads it for numbers that are multiplied in tiles.
template <class Number>
CHARLOOM_INLINE void multiply(long rows, long k_size, Left<Number> left, const Number *panel, long panels,
                              Result result) {
  multiply_vectors(rows, k_size, left, panel, panels, result);
}

}  // namespace

#if defined(CHARLOOM_TILES)
#include "products/tiles.h"
#endif
