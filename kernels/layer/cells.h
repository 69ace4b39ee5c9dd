// The cells: equations on vectors of units, and how their products and gates are laid out.
//
//   gates         rows of each weight matrix, in units of the hidden size
//   products      sums that the equations start from, and slots of a row of kept gates; gates where the input's and the
//                 hidden state's shares are simply added, one more where they must be kept apart (GRU)
//   input_gate    the gate whose rows of the input weights make product i
//   hidden_gate   the gate whose rows of the hidden weights make product hidden_first + i
//   forward       products and state -> what backward needs of the gates (in place of the products) and next state
//   backward      gates and the gradient of H_t -> gradients of the products, in place; carry is what goes from step to
//                 step beside the products. h_before, c_before: H_{t-1} and C_{t-1}; c: C_t
#pragma once
#include "products/vector.h"

namespace {

// The plain (Elman) cell: H_t = phi(X_t W_xh + H_{t-1} W_hh + b), phi tanh or relu.
struct Tanh {
  static CHARLOOM_INLINE_MEMBER Vector of(Vector x) { return tanh(x); }
  static CHARLOOM_INLINE_MEMBER Vector slope(Vector h) { return 1.f - h * h; }
  static CHARLOOM_INLINE_MEMBER Vector times_slope(Vector dh, Vector slope) { return dh * slope; }
};
struct Relu {
  static CHARLOOM_INLINE_MEMBER Vector of(Vector x) { return x < 0.f ? Vector{} : x; }
  static CHARLOOM_INLINE_MEMBER Vector slope(Vector h) { return h <= 0.f ? Vector{} : fill(1.f); }  // NaN: 1
  // Chosen, not multiplied: a NaN or an infinity from above ends at a unit that is off.
  static CHARLOOM_INLINE_MEMBER Vector times_slope(Vector dh, Vector slope) { return slope > 0.f ? dh : Vector{}; }
};

template <class Phi>
struct Rnn {
  static constexpr int gates = 1, products = 1, hidden_first = 0;
  static constexpr int input_gate[] = {0}, hidden_gate[] = {0};
  static constexpr bool has_cell = false, has_carry = false;

  static CHARLOOM_INLINE_MEMBER void forward(Vector (&product)[1], Vector &h, Vector &) {
    h = Phi::of(product[0]);
    product[0] = Phi::slope(h);  // kept, since 1 - h^2 of a rounded h near 1 would have no correct digit
  }

  static CHARLOOM_INLINE_MEMBER void backward(Vector (&gate)[1], Vector, Vector, Vector, Vector dh, Vector &) {
    gate[0] = Phi::times_slope(dh, gate[0]);
  }
};

// The gated recurrent unit, in cuDNN's form (the reset gate acts after the product):
//   R = sigmoid(X W_xr + H W_hr + b),  Z = sigmoid(X W_xz + H W_hz + b),
//   N = tanh(X W_xn + b_xn + R (H W_hn + b_hn)),  H_t = (1 - Z) N + Z H_{t-1}.
struct Gru {
  // Products in the order N_x, R, Z, N_h: what the input contributes to (N R Z) lies together, and so does what the
  // hidden state contributes to (R Z N). torch.nn stacks its rows R Z N.
  static constexpr int gates = 3, products = 4, hidden_first = 1;
  static constexpr int input_gate[] = {2, 0, 1}, hidden_gate[] = {0, 1, 2};
  static constexpr bool has_cell = false, has_carry = true;

  static CHARLOOM_INLINE_MEMBER void forward(Vector (&product)[4], Vector &h, Vector &) {
    auto &[n, r, z, n_h] = product;
    r = sigmoid(r);
    z = sigmoid(z);
    n = tanh(n + r * n_h);
    h = n + z * (h - n);
  }

  // carry: the part of the gradient that goes straight to H_{t-1}, past the product.
  static CHARLOOM_INLINE_MEMBER void backward(Vector (&gate)[4], Vector h_before, Vector, Vector, Vector dh,
                                              Vector &carry) {
    const auto [n, r, z, n_h] = gate;
    dh += carry;
    const Vector dn = dh * (1.f - z) * (1.f - n * n);
    gate[0] = dn;
    gate[1] = dn * n_h * r * (1.f - r);
    gate[2] = dh * (h_before - n) * z * (1.f - z);
    gate[3] = dn * r;
    carry = dh * z;
  }
};

// Long short-term memory:
//   I, F, O = sigmoid(X W_x + H W_h + b),  G = tanh(X W_xg + H W_hg + b),
//   C_t = F C_{t-1} + I G,  H_t = O tanh(C_t).
struct Lstm {
  static constexpr int gates = 4, products = 4, hidden_first = 0;
  static constexpr int input_gate[] = {0, 1, 2, 3}, hidden_gate[] = {0, 1, 2, 3};
  static constexpr bool has_cell = true, has_carry = true;

  static CHARLOOM_INLINE_MEMBER void forward(Vector (&product)[4], Vector &h, Vector &c) {
    auto &[i, f, g, o] = product;
    i = sigmoid(i);
    f = sigmoid(f);
    g = tanh(g);
    o = sigmoid(o);
    c = f * c + i * g;
    h = o * tanh(c);
  }

  // carry: the gradient of the memory cell.
  static CHARLOOM_INLINE_MEMBER void backward(Vector (&gate)[4], Vector, Vector c_before, Vector c, Vector dh,
                                              Vector &carry) {
    const auto [i, f, g, o] = gate;
    const Vector tanh_c = tanh(c), dc = carry + dh * o * (1.f - tanh_c * tanh_c);
    gate[0] = dc * g * i * (1.f - i);
    gate[1] = dc * c_before * f * (1.f - f);
    gate[2] = dc * i * (1.f - g * g);
    gate[3] = dh * tanh_c * o * (1.f - o);
    carry = dc * f;
  }
};

}  // namespace
