// The equations of the cells for 32 units of one lane, on the integers of reference/network.py.
#pragma once
#include "codec/network/packed_matrix.h"

namespace {

// What the products of one lane and block of units come to: [gates][32] sums and how they are scaled.
struct Products {
  const int32_t *sums, *multipliers;
  int first_shift, second_shift;
};

CHARLOOM_INLINE Products products_of(const PackedMatrix &matrix, long block, const int32_t *sums) {
  return {sums, matrix.multiplier(block), matrix.first_shift, matrix.second_shift};
}

CHARLOOM_INLINE Ints scaled(const Products &p, long at) {
  return ((read<Ints>(p.sums + at) >> p.first_shift) * read<Ints>(p.multipliers + at)) >> p.second_shift;
}

// The input's share of the gates: of the first layer a row of the token table, of others products and biases.
struct TokenInput {
  const int16_t *table;  // [gates][32]
  CHARLOOM_INLINE_MEMBER Ints operator()(long at) const { return read_widened(table + at); }
};
struct LayerInput {
  Products products;
  const int32_t *bias;  // [gates][32]
  CHARLOOM_INLINE_MEMBER Ints operator()(long at) const { return read<Ints>(bias + at) + scaled(products, at); }
};

// What a cell computes on for kShortLanes units, the part'th of a block.
template <class Input>
struct Part {
  const Input &input;
  const Products &hidden;
  long first;  // unit of the block

  // The argument of a gate, input and hidden state together.
  CHARLOOM_INLINE_MEMBER Shorts argument(long gate) const {
    const long at = gate * kUnits + first;
    return saturated(input(at) + scaled(hidden, at), input(at + kLanes) + scaled(hidden, at + kLanes));
  }
};

struct RnnTanhCell {
  static constexpr long gates = 1;
  template <class Input>
  CHARLOOM_INLINE Shorts step(const Part<Input> &part, const Tanh &tanh, Shorts, int16_t *, const int32_t *) {
    return tanh(part.argument(0));
  }
};

struct RnnReluCell {
  static constexpr long gates = 1;
  template <class Input>
  CHARLOOM_INLINE Shorts step(const Part<Input> &part, const Tanh &, Shorts, int16_t *, const int32_t *) {
    return at_least_zero(part.argument(0));
  }
};

struct GruCell {
  static constexpr long gates = 3;
  template <class Input>
  CHARLOOM_INLINE Shorts step(const Part<Input> &part, const Tanh &tanh, Shorts h, int16_t *,
                              const int32_t *candidate_bias) {
    const Shorts reset = tanh.sigmoid(part.argument(0)), update = tanh.sigmoid(part.argument(1));
    const long at = 2 * kUnits + part.first;
    const Shorts from_hidden = times(saturated(read<Ints>(candidate_bias) + scaled(part.hidden, at),
                                               read<Ints>(candidate_bias + kLanes) + scaled(part.hidden, at + kLanes)),
                                     reset);
    const Shorts candidate = tanh(saturated(part.input(at) + 2 * widened_low(from_hidden),
                                            part.input(at + kLanes) + 2 * widened_high(from_hidden)));
    return add_saturated(times(candidate, 32767 - update), times(h, update));
  }
};

struct LstmCell {
  static constexpr long gates = 4;
  template <class Input>
  CHARLOOM_INLINE Shorts step(const Part<Input> &part, const Tanh &tanh, Shorts, int16_t *cell, const int32_t *) {
    const Shorts added = times(tanh.sigmoid(part.argument(0)), tanh(part.argument(2)));
    const Shorts kept = times(read<Shorts>(cell), tanh.sigmoid(part.argument(1)));
    const Shorts c = add_saturated(kept, times(added, fill_shorts(1 << 11)));
    store(cell, c);
    return times(tanh(add_saturated(c, c)), tanh.sigmoid(part.argument(3)));
  }
};

}  // namespace
