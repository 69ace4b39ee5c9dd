// Long short-term memory:
//   I, F, O = sigmoid(X W_x + H W_h + b),  G = tanh(X W_xg + H W_hg + b),
//   C_t = F C_{t-1} + I G,  H_t = O tanh(C_t).
#pragma once
#include "cell.h"

namespace {

struct Lstm {
  static constexpr int gates = 4, products = 4, hidden_first = 0;
  static constexpr int input_gate[] = {0, 1, 2, 3}, hidden_gate[] = {0, 1, 2, 3};
  static constexpr bool has_cell = true, has_carry = true;

  static CHARLOOM_INLINE_MEMBER void forward(Vector (&product)[4], Vector &h, Vector &c) {
    Vector i = sigmoid(product[0]), f = sigmoid(product[1]), g = tanh(product[2]), o = sigmoid(product[3]);
    c = f * c + i * g;
    h = o * tanh(c);
    product[0] = i;
    product[1] = f;
    product[2] = g;
    product[3] = o;
  }

  // carry: the gradient of the memory cell.
  static CHARLOOM_INLINE_MEMBER void backward(Vector (&gate)[4], Before before, After after, Vector dh, Vector &carry) {
    Vector i = gate[0], f = gate[1], g = gate[2], o = gate[3], tanh_c = tanh(after.c);
    Vector dc = carry + dh * o * (1.f - tanh_c * tanh_c);
    gate[0] = dc * g * i * (1.f - i);
    gate[1] = dc * before.c * f * (1.f - f);
    gate[2] = dc * i * (1.f - g * g);
    gate[3] = dh * tanh_c * o * (1.f - o);
    carry = dc * f;
  }
};

}  // namespace
