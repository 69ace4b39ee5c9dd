// The equations of the cells for 32 units of one lane, in the integers that reference/network.py specifies. The float32
// cells are in layer/cells.h.
#pragma once
#include "network/packed_matrix.h"

namespace {

// The products of one lane and one block of units: sums [gates][32], and how they are rescaled.
struct Products {
  const int32_t *sums, *multipliers;
  int first_shift, second_shift;
};

CHARLOOM_INLINE Products products_of(const PackedMatrix &matrix, long block, const int32_t *sums) {
  return {sums, matrix.multiplier(block), matrix.first_shift, matrix.second_shift};
}

CHARLOOM_INLINE Ints rescale(const Products &p, long at) {
  return ((read<Ints>(p.sums + at) >> p.first_shift) * read<Ints>(p.multipliers + at)) >> p.second_shift;
}

// The share of the input in the pre-activations: in the first layer a row of the token table, in the others products
// plus biases.
struct TokenInput {
  const int16_t *table;  // [gates][32]
  CHARLOOM_INLINE_MEMBER Ints operator()(long at) const { return read_widened(table + at); }
};
struct LayerInput {
  Products products;
  const int32_t *bias;  // [gates][32]
  CHARLOOM_INLINE_MEMBER Ints operator()(long at) const { return read<Ints>(bias + at) + rescale(products, at); }
};

// The operands of a cell for kShortLanes units of a block.
template <class Input>
struct Part {
  const Input &input;
  const Products &hidden;
  long first;  // first unit within the block

  // Returns the pre-activation of a gate: input plus hidden state.
  CHARLOOM_INLINE_MEMBER Shorts argument(long gate) const {
    const long at = gate * kUnits + first;
    return saturated(input(at) + rescale(hidden, at), input(at + kLanes) + rescale(hidden, at + kLanes));
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
    return relu(part.argument(0));
  }
};

struct GruCell {
  static constexpr long gates = 3;
  template <class Input>
  CHARLOOM_INLINE Shorts step(const Part<Input> &part, const Tanh &tanh, Shorts h, int16_t *,
                              const int32_t *candidate_bias) {
    const Shorts reset = tanh.sigmoid(part.argument(0)), update = tanh.sigmoid(part.argument(1));
    const long at = 2 * kUnits + part.first;
    const Shorts from_hidden =
        multiply_q15(saturated(read<Ints>(candidate_bias) + rescale(part.hidden, at),
                               read<Ints>(candidate_bias + kLanes) + rescale(part.hidden, at + kLanes)),
                     reset);
    const Shorts candidate = tanh(saturated(part.input(at) + 2 * widened_low(from_hidden),
                                            part.input(at + kLanes) + 2 * widened_high(from_hidden)));
    // 32767 - z for 1 - z: the largest 16-bit number stands for 1.
    return add_saturated(multiply_q15(candidate, 32767 - update), multiply_q15(h, update));
  }
};

struct LstmCell {
  static constexpr long gates = 4;
  template <class Input>
  CHARLOOM_INLINE Shorts step(const Part<Input> &part, const Tanh &tanh, Shorts, int16_t *cell, const int32_t *) {
    const Shorts added = multiply_q15(tanh.sigmoid(part.argument(0)), tanh(part.argument(2)));
    const Shorts kept = multiply_q15(read<Shorts>(cell), tanh.sigmoid(part.argument(1)));
    const Shorts c = add_saturated(kept, multiply_q15(added, fill_shorts(1 << 11)));
    store(cell, c);
    return multiply_q15(tanh(add_saturated(c, c)), tanh.sigmoid(part.argument(3)));
  }
};

}  // namespace
