// Packing: matrices into the layouts that multiply() of matmul.h reads, panels for the right-hand side and strips for
// the left-hand side.
#pragma once
#include "products/matmul.h"
#include "products/quantize.h"

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

// Stores rows of a panel from registers, kLanes columns each: `count` rows in float32, as many pairs as cover them in
// bfloat16.
CHARLOOM_INLINE void store_columns(float *panel, const Vector (&row)[kLanes], long count) {
#pragma GCC unroll 16
  for (long k = 0; k < count; k++) store(panel + k * kPanel, row[k]);
}
CHARLOOM_INLINE void store_columns(bfloat16 *panel, const Vector (&row)[kLanes], long count) {
#pragma GCC unroll 8
  for (long k = 0; k < count; k += 2) {
    const Words pairs = __builtin_convertvector(round_to_bfloat16(row[k]), Words) |
                        __builtin_convertvector(round_to_bfloat16(row[k + 1]), Words) << 16;
    memcpy(panel + k * kPanel, &pairs, sizeof pairs);
  }
}

// The addresses of kLanes columns that lie a stride apart: of every fourth, because an address for each would not fit
// in the registers.
struct ColumnAddresses {
  const float *fourth[kLanes / 4];
  long stride;

  CHARLOOM_INLINE_MEMBER ColumnAddresses(const float *columns, long stride) : stride(stride) {
    for (long i = 0; i < kLanes / 4; i++) fourth[i] = columns + 4 * i * stride;
  }
  CHARLOOM_INLINE_MEMBER const float *at(long column) const { return fourth[column / 4] + column % 4 * stride; }
  CHARLOOM_INLINE_MEMBER void advance(long k) {
#pragma GCC unroll 4
    for (long i = 0; i < kLanes / 4; i++) fourth[i] += k;
  }
};

// Reads a block of kLanes columns and kLanes values of k, transposed: row i has the values k + i of the columns.
CHARLOOM_INLINE void load_transposed(const ColumnAddresses &columns, Vector (&row)[kLanes]) {
  constexpr long lines_ahead = 2 * 16;
#pragma GCC unroll 16
  for (long i = 0; i < kLanes; i++) {
    row[i] = load(columns.at(i));
    prefetch(columns.at(i) + lines_ahead);  // the hardware prefetcher does not follow 16 streams
  }
  transpose(row);
}

// The same for a block at the edge of the matrix: zero for columns and values beyond the counts. Not inline, so that
// the blocks of the caller stay in registers: here they are in memory.
static void load_transposed_edge(const float *columns, long stride, long column_count, long k_count,
                                 Vector (&row)[kLanes]) {
  for (long i = 0; i < kLanes; i++) row[i] = i < column_count ? load_partial(columns + i * stride, k_count) : Vector{};
  transpose(row);
}

// Packs one panel from columns, that is, from the transpose: panel(k, j) = rows[j * stride + k] for k < k_count, j <
// columns; zero beyond, up to k_size and kPanel.
template <class Number>
CHARLOOM_INLINE void pack_columns(Number *panel, const float *rows, long stride, long k_count, long k_size,
                                  long columns) {
  for (long k = 0; k < k_size; k += kLanes)
    for (long j = 0; j < kPanel; j += kLanes) {
      const float *block = rows + j * stride + k;
      Number *to = panel + k * kPanel + j * kVnniFactor<Number>;
      if (columns - j >= kLanes && k_count - k >= kLanes) {
        Vector row[kLanes];
        load_transposed({block, stride}, row);
        store_columns(to, row, kLanes);
      } else {
        Vector row[kLanes];
        load_transposed_edge(block, stride, columns - j, k_count - k, row);
        store_columns(to, row, min(kLanes, k_size - k));
      }
    }
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
    const float largest = largest_magnitude(row, count), steps = quantization_steps(largest);
    Ints sum{};
    for (long k = 0; k < k_size; k += kLanes) {
      const Ints weight = steps > 0.f ? round_to_int(load_partial(row + k, count - k) * steps) : Ints{};
      const Bytes bytes = __builtin_convertvector(weight, Bytes);
      int8_t four_by_four[kLanes];
      memcpy(four_by_four, &bytes, sizeof bytes);
      for (long i = 0; i < kLanes; i += 4) memcpy(weights + ((k + i) / 4 * kPanel + j) * 4, four_by_four + i, 4);
      sum += weight;
    }
    scales[j] = largest / 127.f;
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
