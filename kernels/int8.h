// Products in 8-bit integers, for generation: weights with one scale for each row of the matrix, activations between -1
// and 1 in steps of 1/127. Sums are exact, so every instruction set gives the same.
//
// Panel: kPanel scales (float32), kPanel sums of the weights (int32), then [k / 4][kPanel][4].
#pragma once
#include "kernels.h"
#include "packing.h"

namespace {

CHARLOOM_INLINE void store(int8_t *to, Vector v) {
  const Vector scaled = v * 127.f;
  const Ints rounded = __builtin_convertvector(scaled + (scaled < 0.f ? fill(-0.5f) : fill(0.5f)), Ints);
  const Bytes bytes = __builtin_convertvector(rounded, Bytes);
  memcpy(to, &bytes, sizeof bytes);
}
CHARLOOM_INLINE void set(int8_t *to, float x) { *to = (int8_t)(x * 127.f + (x < 0 ? -0.5f : 0.5f)); }

template <>
constexpr long kPerStep<int8_t> = 4;
template <>
constexpr long kDepthBlock<int8_t> = charloom::kPadding;  // weights are packed a vector at a time
constexpr long kInt8Header = 8 * kPanel;
template <>
constexpr long kPanelHeader<int8_t> = kInt8Header;

// The first `count` lanes, if there are so many; zero in the others.
CHARLOOM_INLINE Vector load_some(const float *from, long count) {
  Vector v{};
  if (count >= kLanes) return load(from);
  if (count > 0) memcpy(&v, from, count * sizeof(float));
  return v;
}

// k_size is a multiple of kLanes, as padded sizes are.
CHARLOOM_INLINE void pack_columns(int8_t *panel, const float *rows, long stride, long k_count, long k_size,
                                  long columns) {
  float *scales = reinterpret_cast<float *>(panel);
  int32_t *sums = reinterpret_cast<int32_t *>(scales + kPanel);
  int8_t *weights = panel + kInt8Header;
  for (long j = 0; j < kPanel; j++) {
    const long count = j < columns ? k_count : 0;
    const float *row = rows + j * stride;
    Vector largest_of_lane{};
    for (long k = 0; k < count; k += kLanes) {
      const Vector v = load_some(row + k, count - k), size = v < 0.f ? -v : v;
      largest_of_lane = largest_of_lane < size ? size : largest_of_lane;
    }
    const float largest = largest_lane(largest_of_lane), steps = largest > 0 ? 127.f / largest : 0.f;
    Ints sum{};
    for (long k = 0; k < k_size; k += kLanes) {
      const Vector scaled = load_some(row + k, count - k) * steps;
      const Ints weight = __builtin_convertvector(scaled + (scaled < 0.f ? fill(-0.5f) : fill(0.5f)), Ints);
      const Bytes bytes = __builtin_convertvector(weight, Bytes);
      int8_t four_by_four[kLanes];
      memcpy(four_by_four, &bytes, sizeof bytes);
      for (long i = 0; i < kLanes; i += 4) memcpy(weights + ((k + i) / 4 * kPanel + j) * 4, four_by_four + i, 4);
      sum += weight;
    }
    scales[j] = largest / (127.f * 127.f);
    sums[j] = 0;
    for (long i = 0; i < kLanes; i++) sums[j] += sum[i];
  }
}

// sum += the four products of a and of each column's weights.
CHARLOOM_INLINE void multiply_add(Ints &sum, const int8_t *a, const int8_t *columns) {
#if defined(__AVX512VNNI__)
  int32_t four;
  memcpy(&four, a, sizeof four);
  // The instruction wants one side without sign: 128 more, which the caller takes off again.
  sum = (Ints)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(four ^ (int32_t)0x80808080),
                                  _mm512_loadu_si512(columns));
#else
  Ints w;
  memcpy(&w, columns, sizeof w);
#if defined(__AVX2__) || defined(__SSE2__)
  const int16_t a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3];
  using Shorts = int16_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
  const Ints even = Ints{} + (int32_t)((uint32_t)(uint16_t)a2 << 16 | (uint16_t)a0);
  const Ints odd = Ints{} + (int32_t)((uint32_t)(uint16_t)a3 << 16 | (uint16_t)a1);
  const Ints low = (Ints)(((Shorts)w << 8) >> 8), high = (Ints)((Shorts)w >> 8);
#if defined(__AVX512BW__)
  sum += (Ints)_mm512_madd_epi16((__m512i)low, (__m512i)even) + (Ints)_mm512_madd_epi16((__m512i)high, (__m512i)odd);
#elif defined(__AVX2__)
  sum += (Ints)_mm256_madd_epi16((__m256i)low, (__m256i)even) + (Ints)_mm256_madd_epi16((__m256i)high, (__m256i)odd);
#else
  sum += (Ints)_mm_madd_epi16((__m128i)low, (__m128i)even) + (Ints)_mm_madd_epi16((__m128i)high, (__m128i)odd);
#endif
#else
  for (int i = 0; i < 4; i++) sum += (w << (24 - 8 * i) >> 24) * (int32_t)a[i];
#endif
#endif
}
#if defined(__AVX512VNNI__)
constexpr int32_t kOffset = 128;
#else
constexpr int32_t kOffset = 0;
#endif

template <int ROWS, int PANELS>
static void multiply_int8_block(long k_size, Left<int8_t> left, const int8_t *panels, long panel_stride,
                                Result result) {
  Ints sum[PANELS][ROWS][2] = {};
  const int8_t *columns = panels + kInt8Header;
  for (long k = 0; k < k_size; k += 4, columns += 4 * kPanel)
#pragma GCC unroll 4
    for (int p = 0; p < PANELS; p++)
#pragma GCC unroll 4
      for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++)
          multiply_add(sum[p][i][half], left.data + i * left.row_stride + k,
                       columns + p * panel_stride + half * 4 * kLanes);
  for (int p = 0; p < PANELS; p++) {
    const float *scales = reinterpret_cast<const float *>(panels + p * panel_stride);
    const int32_t *offsets = reinterpret_cast<const int32_t *>(scales + kPanel);
    for (int i = 0; i < ROWS; i++)
      for (int half = 0; half < 2; half++) {
        float *to = result.data + p * result.panel_stride + i * result.row_stride + half * kLanes;
        Ints offset;
        memcpy(&offset, offsets + half * kLanes, sizeof offset);
        const Ints exact = sum[p][i][half] - offset * kOffset;
        store(to, load(to) + __builtin_convertvector(exact, Vector) * load(scales + half * kLanes));
      }
  }
}

CHARLOOM_INLINE void multiply(long rows, long k_size, Left<int8_t> left, const int8_t *panel, long panels,
                              Result result) {
  const long stride = panel_size<int8_t>(k_size);
  for (; panels > 0;) {
    const long at_once = panels >= 4 ? 4 : 1;
    for (long i = 0; i < rows;) {
      const Left<int8_t> from{left.data + i * left.row_stride, left.row_stride, left.k_stride};
      const Result to{result.data + i * result.row_stride, result.row_stride, result.panel_stride};
      if (at_once == 4) {
        multiply_int8_block<1, 4>(k_size, from, panel, stride, to);
        i++;
      } else if (rows - i >= 4) {
        multiply_int8_block<4, 1>(k_size, from, panel, stride, to);
        i += 4;
      } else {
        multiply_int8_block<1, 1>(k_size, from, panel, stride, to);
        i++;
      }
    }
    panels -= at_once;
    panel += at_once * stride;
    result.data += at_once * result.panel_stride;
  }
}

}  // namespace
