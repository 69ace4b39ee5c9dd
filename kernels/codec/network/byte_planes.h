// Products of 16-bit activations with 8-bit weights, as two planes of bytes: a = 256 * high + low. Both planes are
// unsigned, as the instructions want one side: high has 128 added, which each panel takes off again.
//
// Panel: 32 times -128 * the sum of a row's weights (int32), then [depth / 4][32][4] weights. A row of activations:
// `depth` high bytes, then `depth` low bytes.
#pragma once
#include "codec/network/integer_vectors.h"
#include "runtime/tile_unit.h"

namespace {

using Weight = int8_t;
using Activation = uint8_t;

constexpr long kPanelHeader = kUnits * sizeof(int32_t);
constexpr long panel_size(long depth) { return kPanelHeader + depth * kUnits; }
constexpr long row_size(long depth) { return 2 * depth; }

// One row of a matrix, which becomes a column of the panel.
inline void put_row(Weight *panel, long column, const int8_t *weights, long count) {
  int32_t sum = 0;
  for (long k = 0; k < count; k++) {
    sum += weights[k];
    panel[kPanelHeader + (k / 4 * kUnits + column) * 4 + k % 4] = weights[k];
  }
  const int32_t start = -128 * sum;
  memcpy(panel + column * sizeof start, &start, sizeof start);
}

inline void clear_row(Activation *row, long depth) {
  memset(row, 0x80, depth);
  memset(row + depth, 0, depth);
}
CHARLOOM_INLINE Shorts load_activations(const Activation *row, long depth, long unit) {
  const __m256i high = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(row + unit));
  const __m256i low = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(row + depth + unit));
  return (Shorts)_mm512_or_si512(
      _mm512_slli_epi16(_mm512_cvtepu8_epi16(_mm256_xor_si256(high, _mm256_set1_epi8(-128))), 8),
      _mm512_cvtepu8_epi16(low));
}
CHARLOOM_INLINE void store_activations(Activation *row, long depth, long unit, Shorts v) {
  const __m256i high = _mm256_xor_si256(_mm512_cvtepi16_epi8((__m512i)(v >> 8)), _mm256_set1_epi8(-128));
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(row + unit), high);
  _mm256_storeu_si256(reinterpret_cast<__m256i *>(row + depth + unit), _mm512_cvtepi16_epi8((__m512i)v));
}

CHARLOOM_INLINE Ints multiply_add(Ints sum, const Activation *four, __m512i weights) {
  int32_t quad;
  memcpy(&quad, four, sizeof quad);
  return (Ints)_mm512_dpbusd_epi32((__m512i)sum, _mm512_set1_epi32(quad), weights);
}
// The sum of both planes. That of the high one, its start included, is less than 2^23.
CHARLOOM_INLINE Ints planes_joined(Ints high, Ints low) { return high * 256 + low; }

// ROWS rows of activations with a panel. DEPTHS: sums kept for one result, so that enough are under way at once.
template <long ROWS, long DEPTHS>
static void multiply_block(long depth, const Activation *rows, long stride, const Weight *panel, int32_t *result,
                           long result_stride) {
  constexpr long kVectors = kUnits / kLanes;
  Ints high[DEPTHS][ROWS][kVectors] = {}, low[DEPTHS][ROWS][kVectors] = {};
  const Weight *columns = panel + kPanelHeader;
  for (long k = 0; k < depth; k += 4 * DEPTHS, columns += 4 * DEPTHS * kUnits)
#pragma GCC unroll 4
    for (long d = 0; d < DEPTHS; d++)
#pragma GCC unroll 2
      for (long v = 0; v < kVectors; v++) {
        __m512i weights = _mm512_loadu_si512(columns + d * 4 * kUnits + v * 4 * kLanes);
        asm("" : "+v"(weights));  // or GCC loads them again for each product
#pragma GCC unroll 4
        for (long r = 0; r < ROWS; r++) {
          const Activation *four = rows + r * stride + k + 4 * d;
          high[d][r][v] = multiply_add(high[d][r][v], four, weights);
          low[d][r][v] = multiply_add(low[d][r][v], four + depth, weights);
        }
      }
  // Unrolled as the loops above are, so that no sum ever has an address.
#pragma GCC unroll 2
  for (long v = 0; v < kVectors; v++) {
    Ints start;
    memcpy(&start, panel + v * sizeof start, sizeof start);
#pragma GCC unroll 4
    for (long r = 0; r < ROWS; r++) {
      Ints high_sum = start, low_sum{};
#pragma GCC unroll 4
      for (long d = 0; d < DEPTHS; d++) {
        high_sum += high[d][r][v];
        low_sum += low[d][r][v];
      }
      store_ints(result + r * result_stride + v * kLanes, planes_joined(high_sum, low_sum));
    }
  }
}

// Products of rows with `panels` panels; result: row r's 32 of panel p at result + r * result_stride + p * 32.
CHARLOOM_INLINE void multiply_vectors(long rows, long depth, const Activation *left, long stride, const Weight *panel,
                                      long panels, int32_t *result, long result_stride) {
  for (long p = 0; p < panels; p++, panel += panel_size(depth), result += kUnits) {
    long r = 0;
    for (; r + 4 <= rows; r += 4)
      multiply_block<4, 1>(depth, left + r * stride, stride, panel, result + r * result_stride, result_stride);
    for (; r < rows; r++)
      multiply_block<1, 4>(depth, left + r * stride, stride, panel, result + r * result_stride, result_stride);
  }
}

constexpr long kRowBlock = 16;

#if defined(CHARLOOM_TILES)
// 16 rows of activations with a panel, on tiles: both planes by both halves of the panel, so that four sums are under
// way and each tile is used twice.
static void multiply_tiles(long depth, const Activation *rows, long stride, const Weight *panel, int32_t *result,
                           long result_stride) {
  constexpr long kLine = 4 * kUnits;  // four weights of each of 32 columns
  alignas(64) int32_t high[16][kUnits], low[16][kUnits];
  TILE_ZERO(0);
  TILE_ZERO(1);
  TILE_ZERO(2);
  TILE_ZERO(3);
  const Weight *columns = panel + kPanelHeader;
  for (long k = 0; k < depth; k += 64, columns += 64 * kUnits) {
    TILE_LOAD(4, rows + k, stride);
    TILE_LOAD(6, columns, kLine);
    TILE_LOAD(7, columns + 64, kLine);
    TILE_LOAD(5, rows + depth + k, stride);
    TILE_MULTIPLY_BYTES(0, 4, 6);
    TILE_MULTIPLY_BYTES(1, 4, 7);
    TILE_MULTIPLY_BYTES(2, 5, 6);
    TILE_MULTIPLY_BYTES(3, 5, 7);
  }
  TILE_STORE(0, high[0], sizeof high[0]);
  TILE_STORE(1, high[0] + 16, sizeof high[0]);
  TILE_STORE(2, low[0], sizeof low[0]);
  TILE_STORE(3, low[0] + 16, sizeof low[0]);
  for (long v = 0; v < kUnits; v += kLanes) {
    Ints start;
    memcpy(&start, panel + v * sizeof(int32_t), sizeof start);
    for (long r = 0; r < 16; r++)
      store_ints(result + r * result_stride + v, planes_joined(load_ints(high[r] + v) + start, load_ints(low[r] + v)));
  }
}

#endif

// As multiply_vectors. Few rows are the vectors': a tile takes as long for one as for 16. If tiles are used, all 16
// rows are read and written, lanes or not.
CHARLOOM_INLINE void multiply(long rows, long depth, const Activation *left, long stride, const Weight *panel,
                              long panels, int32_t *result, long result_stride) {
#if defined(CHARLOOM_TILES)
  if (rows > 4) {
    for (long p = 0; p < panels; p++)
      multiply_tiles(depth, left, stride, panel + p * panel_size(depth), result + p * kUnits, result_stride);
    return;
  }
#endif
  multiply_vectors(rows, depth, left, stride, panel, panels, result, result_stride);
}

}  // namespace
