// The gated recurrent unit, in cuDNN's form (the reset gate acts after the product):
//   R = sigmoid(X W_xr + H W_hr + b),  Z = sigmoid(X W_xz + H W_hz + b),
//   N = tanh(X W_xn + b_xn + R (H W_hn + b_hn)),  H_t = (1 - Z) N + Z H_{t-1}.
#pragma once
#include "cell.h"

namespace {

struct Gru {
  // Products in the order N_x, R, Z, N_h: what the input contributes to (N R Z) lies together, and so does what the
  // hidden state contributes to (R Z N). torch.nn stacks its rows R Z N.
  static constexpr int gates = 3, products = 4, hidden_first = 1;
  static constexpr int input_gate[] = {2, 0, 1}, hidden_gate[] = {0, 1, 2};
  static constexpr bool has_cell = false, has_carry = true;

  static CHARLOOM_INLINE_MEMBER void forward(Vector (&product)[4], Vector &h, Vector &) {
    Vector r = sigmoid(product[1]), z = sigmoid(product[2]);
    Vector n = tanh(product[0] + r * product[3]);
    h = n + z * (h - n);
    product[0] = n;
    product[1] = r;
    product[2] = z;
  }

  // carry: the part of the gradient that goes straight to H_{t-1}, past the product.
  static CHARLOOM_INLINE_MEMBER void backward(Vector (&gate)[4], Before before, After, Vector dh, Vector &carry) {
    Vector n = gate[0], r = gate[1], z = gate[2], n_h = gate[3];
    dh += carry;
    Vector dn = dh * (1.f - z) * (1.f - n * n);
    gate[0] = dn;
    gate[1] = dn * n_h * r * (1.f - r);
    gate[2] = dh * (before.h - n) * z * (1.f - z);
    gate[3] = dn * r;
    carry = dh * z;
  }
};

}  // namespace
