// What a cell is to the loops over time: equations on vectors of units, and how its products and gates are laid out.
//
//   gates         rows of each weight matrix, in units of the hidden size
//   products      sums that the equations start from, and slots of a row of kept gates; gates where the input's and the
//                 hidden state's shares are simply added, one more where they must be kept apart (GRU)
//   input_gate    the gate whose rows of the input weights make product i
//   hidden_gate   the gate whose rows of the hidden weights make product hidden_first + i
//   forward       products and state -> what backward needs of the gates (in place of the products) and next state
//   backward      gates and the gradient of H_t -> gradients of the products, in place; carry is what goes from step to
//                 step beside the products
#pragma once
#include "vector.h"

#define CHARLOOM_INLINE_MEMBER inline __attribute__((always_inline))

namespace {

struct Before {  // H_{t-1} and C_{t-1}
  Vector h, c;
};
struct After {  // C_t
  Vector c;
};

}  // namespace
