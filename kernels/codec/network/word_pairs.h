// Products of 16-bit activations with 16-bit copies of the weights, a pair at a time.
//
// Panel: [depth / 2][32][2]. A row of activations: `depth` 16-bit numbers.
#pragma once
#include "codec/network/integer_vectors.h"

namespace {

using Weight = int16_t;
using Activation = int16_t;

constexpr long kPerStep = 2, kPanelHeader = 0;
constexpr long panel_size(long depth) { return depth * kUnits; }
constexpr long row_size(long depth) { return depth; }

// One row of a matrix, which becomes a column of the panel.
inline void put_row(Weight *panel, long column, const int8_t *weights, long count) {
  for (long k = 0; k < count; k++) panel[(k / kPerStep * kUnits + column) * kPerStep + k % kPerStep] = weights[k];
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
CHARLOOM_INLINE Ints joined(Sum sum, const Weight *, long) { return sum; }

constexpr long kDepths = 2, kRowBlock = 4;

}  // namespace
