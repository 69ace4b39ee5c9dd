// Packing: matrices into the layouts that multiply() of matmul.h reads, panels for the right-hand side and strips for
// the left-hand side.
#pragma once
#include "products/matmul.h"

namespace {

CHARLOOM_INLINE void store_element(float *panel, long k, long column, float x) { panel[k * kPanel + column] = x; }
CHARLOOM_INLINE void store_element(bfloat16 *panel, long k, long column, float x) {
  set(panel + (k / 2 * kPanel + column) * 2 + k % 2, x);
}

// Prefetches the columns of the next panel. Rows lie far apart, a pattern that the hardware prefetcher does not detect.
template <class Number>
CHARLOOM_INLINE void prefetch_panel(const Number *row) {
  prefetch(row);
  prefetch(row + kPanel - 1);
}

// Stores full rows of a panel: one in float32, a pair in bfloat16.
CHARLOOM_INLINE void store_rows(float *panel, const float *row, const float *) {
  store(panel, load(row));
  store(panel + kLanes, load(row + kLanes));
}
template <class Number>
CHARLOOM_INLINE void store_rows(bfloat16 *panel, const Number *row, const Number *next) {
  for (long j = 0; j < kPanel; j += kLanes) {
    const Words pairs = __builtin_convertvector(load_as_bfloat16(row + j), Words) |
                        __builtin_convertvector(load_as_bfloat16(next + j), Words) << 16;
    memcpy(panel + 2 * j, &pairs, sizeof pairs);
  }
}

// Packs one panel from rows: panel(k, j) = row(k)[j] for k < k_count, j < columns; zero for larger j and for larger k
// up to k_size.
template <class Number, class Row>
CHARLOOM_INLINE void pack_rows(Number *panel, Row row, long k_count, long k_size, long columns) {
  constexpr long step = kVnniFactor<Number>;
  for (long k = 0; k < k_size; k += step, panel += step * kPanel) {
    if (k + step <= k_count && columns >= kPanel) {
      store_rows(panel, row(k), row(k + step - 1));
      for (long i = 0; i < step; i++) prefetch_panel(row(k + i) + kPanel);
      continue;
    }
    for (long i = 0; i < step; i++)
      for (long j = 0; j < kPanel; j++)
        store_element(panel, i, j, k + i < k_count && j < columns ? to_float(row(k + i)[j]) : 0.f);
  }
}

// Four lanes whatever the instruction set, for transposing.
using Quad = float __attribute__((vector_size(16)));
using QuadWords = uint32_t __attribute__((vector_size(16)));

CHARLOOM_INLINE void transpose_4x4(Quad (&row)[4]) {
  const Quad a = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5),
             b = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
  const Quad c = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5),
             d = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  row[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  row[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  row[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  row[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

// Stores four values of k for each of four columns, from (k, column) on.
CHARLOOM_INLINE void store_4x4(float *panel, long k, long column, const Quad (&row)[4]) {
  for (long i = 0; i < 4; i++) memcpy(panel + (k + i) * kPanel + column, &row[i], sizeof row[i]);
}
CHARLOOM_INLINE QuadWords round_quad(Quad v) {
#if defined(__AVX512BF16__)
  return (QuadWords)_mm_cvtepu16_epi32((__m128i)_mm_cvtneps_pbh((__m128)v));
#else
  return round_to_upper_half<QuadWords>(v);
#endif
}
CHARLOOM_INLINE void store_4x4(bfloat16 *panel, long k, long column, const Quad (&row)[4]) {
  for (long i = 0; i < 4; i += 2) {
    const QuadWords pairs = round_quad(row[i]) | round_quad(row[i + 1]) << 16;
    memcpy(panel + ((k + i) / 2 * kPanel + column) * 2, &pairs, sizeof pairs);
  }
}

// Packs one panel from columns, that is, from the transpose: panel(k, j) = rows[j * stride + k] for k < k_count, j <
// columns; zero beyond, up to k_size and kPanel.
template <class Number>
CHARLOOM_INLINE void pack_columns(Number *panel, const float *rows, long stride, long k_count, long k_size,
                                  long columns) {
  // Values of k at a time: reads take a few adjacent lines, and writes stay within the first-level cache.
  constexpr long strip = 64;
  for (long first = 0; first < k_size; first += strip) {
    const long last = min(first + strip, k_size), full = min(last, k_count) / 4 * 4;
    for (long j = 0; j < kPanel; j += 4) {
      long k = first;
      for (; j + 4 <= columns && k < full; k += 4) {
        Quad row[4];
        for (long i = 0; i < 4; i++) row[i] = read<Quad>(rows + (j + i) * stride + k);
        transpose_4x4(row);
        store_4x4(panel, k, j, row);
      }
      for (; k < last; k++)
        for (long i = j; i < j + 4; i++)
          store_element(panel, k, i, k < k_count && i < columns ? rows[i * stride + k] : 0.f);
    }
  }
}

// Loads the first `count` lanes and sets the others to zero; never reads beyond `count` numbers.
CHARLOOM_INLINE Vector load_partial(const float *from, long count) {
  Vector v{};
  if (count >= kLanes) return load(from);
  if (count > 0) memcpy(&v, from, count * sizeof(float));
  return v;
}

// The same in int8, each column with its own scale. k_size is a multiple of kLanes because sizes are padded.
CHARLOOM_INLINE void pack_columns(int8_t *panel, const float *rows, long stride, long k_count, long k_size,
                                  long columns) {
  float *scales = reinterpret_cast<float *>(panel);
  int32_t *sums = reinterpret_cast<int32_t *>(scales + kPanel);
  int8_t *weights = panel + kPanelHeader<int8_t>;
  for (long j = 0; j < kPanel; j++) {
    const long count = j < columns ? k_count : 0;
    const float *row = rows + j * stride;
    Vector lane_max{};
    for (long k = 0; k < count; k += kLanes) {
      const Vector v = load_partial(row + k, count - k), size = v < 0.f ? -v : v;
      lane_max = lane_max < size ? size : lane_max;
    }
    const float largest = reduce_max(lane_max), steps = largest > 0 ? 127.f / largest : 0.f;
    Ints sum{};
    for (long k = 0; k < k_size; k += kLanes) {
      const Ints weight = round_to_int(load_partial(row + k, count - k) * steps);
      const Bytes bytes = __builtin_convertvector(weight, Bytes);
      int8_t four_by_four[kLanes];
      memcpy(four_by_four, &bytes, sizeof bytes);
      for (long i = 0; i < kLanes; i += 4) memcpy(weights + ((k + i) / 4 * kPanel + j) * 4, four_by_four + i, 4);
      sum += weight;
    }
    // One factor for the steps of the weights and one for those of the activations, 1/127 each.
    scales[j] = largest / (127.f * 127.f);
    sums[j] = 0;
    for (long i = 0; i < kLanes; i++) sums[j] += sum[i];
  }
}

// Packs kStrip columns of some rows, transposed, as the left-hand side of a product: strip(i, k) = row(k)[i], zero
// beyond k_count. Reads a whole strip of each row: the caller guarantees padding, or the arena's slack, behind the
// rows.
template <class Row>
CHARLOOM_INLINE Left<float> pack_strip(float *strip, Row row, long k_count, long) {
  for (long k = 0; k < k_count; k++) {
    memcpy(strip + k * kMicroRows, row(k), kMicroRows * sizeof(float));
    prefetch(row(k) + 2 * kMicroRows - 1);  // of the next strip
  }
  return {strip, 1, kMicroRows};
}
#if !defined(CHARLOOM_TILES)
template <class Row>
CHARLOOM_INLINE Left<bfloat16> pack_strip(bfloat16 *strip, Row row, long k_count, long k_size) {
  for (long k = 0; k < k_size; k += 2, strip += 2 * kMicroRows)
    for (long i = 0; i < kMicroRows; i++) {
      strip[2 * i] = row(k)[i];
      strip[2 * i + 1] = k + 1 < k_count ? row(k + 1)[i] : bfloat16{0};
    }
  return {strip - k_size * kMicroRows, 2, 2 * kMicroRows};
}
#endif

}  // namespace
