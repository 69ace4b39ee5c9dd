// Operands of the integer products for instruction sets without VNNI (scalar, NEON, AVX2): 16-bit activations and
// 16-bit copies of the weights, multiplied a pair at a time. byte_planes.h is the alternative.
//
// Layout of a panel: [depth / 2][32][2]. Layout of a row of activations: `depth` 16-bit numbers.
#pragma once
#include "network/integer_vectors.h"

namespace {

using Weight = int16_t;
using Activation = int16_t;

constexpr long kVnniFactor = 2, kPanelHeader = 0;
constexpr long panel_size(long depth) { return depth * kUnits; }
constexpr long row_size(long depth) { return depth; }

// Packs one row of a matrix, which becomes a column of the panel.
inline void pack_row(Weight *panel, long column, const int8_t *weights, long count) {
  for (long k = 0; k < count; k++)
    panel[(k / kVnniFactor * kUnits + column) * kVnniFactor + k % kVnniFactor] = weights[k];
}

inline void clear_row(Activation *row, long depth) { memset(row, 0, depth * sizeof *row); }
CHARLOOM_INLINE Shorts load_activations(const Activation *row, long /* depth */, long unit) {
  return read<Shorts>(row + unit);
}
CHARLOOM_INLINE void store_activations(Activation *row, long /* depth */, long unit, Shorts v) { store(row + unit, v); }

using Sum = Ints;
CHARLOOM_INLINE void multiply_add(Sum &sum, const Activation *pair, long /* depth */, Ints weights) {
#if defined(__SSE2__)
  sum += pair_products((Shorts)fill_ints(read<int32_t>(pair)), (Shorts)weights);
#else
  sum += (weights << 16 >> 16) * (int32_t)pair[0] + (weights >> 16) * (int32_t)pair[1];
#endif
}
CHARLOOM_INLINE void add(Sum &sum, Sum more) { sum += more; }
CHARLOOM_INLINE Ints combine_planes(Sum sum, const Weight *, long) { return sum; }

// Independent sums for one result, and rows that multiply() takes at a time.
constexpr long kAccumulators = 2, kRowBlock = 4;

}  // namespace
