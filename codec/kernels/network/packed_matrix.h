// Weights packed as the products read them: panels of 32 rows of a matrix (32 results), in the order in which a step
// uses them, so that a product with one lane streams them once.
#pragma once
#include "codec_kernels.h"
#include "network/integer_products.h"
#include "runtime/arena.h"

namespace {

using charloom::IntegerMatrix;

constexpr long round_up(long size, long step) { return (size + step - 1) / step * step; }
// Activations and the depth of a panel are padded to a multiple of this: a row of a tile, and no less than any vector.
constexpr long kDepth = 64;

// The rows of a matrix in blocks of 32 units: each block has the panels of its gates.
struct PackedMatrix {
  Weight *panels;        // [blocks][gates] panels
  int32_t *multipliers;  // [blocks][gates][32]
  int first_shift, second_shift;
  long gates, depth;

  const Weight *panel(long block) const { return panels + block * gates * panel_size(depth); }
  const int32_t *multiplier(long block) const { return multipliers + block * gates * kUnits; }
};

inline PackedMatrix allocate_matrix(Arena &arena, const IntegerMatrix &from, long units, long gates, long columns) {
  const long panels = round_up(units, kUnits) / kUnits * gates, depth = round_up(columns, kDepth);
  return {arena.allocate<Weight>(panels * panel_size(depth)),
          arena.allocate<int32_t>(panels * kUnits),
          from.first_shift,
          from.second_shift,
          gates,
          depth};
}

// Calls place(position, row) for each position of [blocks][gates][32]. row: of the matrix, or -1 in the padding.
template <class Place>
static void for_each_row(long units, long gates, Place place) {
  for (long block = 0; block * kUnits < units; block++)
    for (long gate = 0; gate < gates; gate++)
      for (long i = 0; i < kUnits; i++) {
        const long unit = block * kUnits + i;
        place((block * gates + gate) * kUnits + i, unit < units ? gate * units + unit : -1);
      }
}

// from: (gates * units). to: [blocks][gates][32], with `padding` in the padding.
template <class Number, class To>
static void pack_numbers(const Number *from, long units, long gates, To *to, To padding = 0) {
  for_each_row(units, gates, [&](long at, long row) { to[at] = row < 0 ? padding : (To)from[row]; });
}

static void pack_matrix(const IntegerMatrix &from, long units, long columns, const PackedMatrix &to) {
  pack_numbers(from.multipliers, units, to.gates, to.multipliers);
  memset(static_cast<void *>(to.panels), 0,
         round_up(units, kUnits) / kUnits * to.gates * panel_size(to.depth) * sizeof(Weight));
  for_each_row(units, to.gates, [&](long at, long row) {
    if (row >= 0)
      pack_row(to.panels + at / kUnits * panel_size(to.depth), at % kUnits, from.weights + row * columns, columns);
  });
}

}  // namespace
