// The cells: their equations on vectors of units, forward and backward, and the layout of their pre-activations and
// gates. recurrence.h applies them over time. The codec's integer cells are in codec/network/integer_cells.h.
//
//   gates            rows of each weight matrix, in units of the hidden size
//   preactivations   the sums that the equations start from, and the slots of a row of saved gates; equal to gates if
//                    the shares of input and hidden state are simply added, one more if one gate needs them apart (GRU)
//   input_gate       the gate whose rows of the input weights make pre-activation i
//   hidden_gate      the gate whose rows of the hidden weights make pre-activation hidden_offset + i
//   forward          pre-activations and state -> the values that backward needs (in place of the pre-activations) and
//                    the next state
//   backward         saved gates and the gradient of H_t -> gradients of the pre-activations, in place. carry is the
//                    gradient that reaches the previous step past the products; h_prev, c_prev and c are
//                    H_{t-1}, C_{t-1} and C_t
#pragma once
#include "vector.h"

namespace {

// The Elman cell: H_t = phi(X_t W_xh + H_{t-1} W_hh + b), with tanh or ReLU as phi.
struct Tanh {
  static CHARLOOM_INLINE_MEMBER Vector apply(Vector x) { return tanh(x); }
  static CHARLOOM_INLINE_MEMBER Vector derivative(Vector h) { return 1.f - h * h; }
  static CHARLOOM_INLINE_MEMBER Vector apply_derivative(Vector dh, Vector derivative) { return dh * derivative; }
};
struct Relu {
  static CHARLOOM_INLINE_MEMBER Vector apply(Vector x) { return x < 0.f ? Vector{} : x; }
  // 1 for a NaN, which thus stays visible.
  static CHARLOOM_INLINE_MEMBER Vector derivative(Vector h) { return h <= 0.f ? Vector{} : fill(1.f); }
  // Selected, not multiplied: an upstream NaN or infinity must not pass a unit that is off (0 * inf is NaN).
  static CHARLOOM_INLINE_MEMBER Vector apply_derivative(Vector dh, Vector derivative) {
    return derivative > 0.f ? dh : Vector{};
  }
};

template <class Phi>
struct Rnn {
  static constexpr int gates = 1, preactivations = 1, hidden_offset = 0;
  static constexpr int input_gate[] = {0}, hidden_gate[] = {0};
  static constexpr bool has_cell = false, has_carry = false;

  static CHARLOOM_INLINE_MEMBER void forward(Vector (&preactivation)[1], Vector &h, Vector &) {
    h = Phi::apply(preactivation[0]);
    // Saved instead of recomputed: 1 - h^2 of an h near 1 that was rounded to bfloat16 has no correct digit.
    preactivation[0] = Phi::derivative(h);
  }

  static CHARLOOM_INLINE_MEMBER void backward(Vector (&gate)[1], Vector, Vector, Vector, Vector dh, Vector &) {
    gate[0] = Phi::apply_derivative(dh, gate[0]);
  }
};

// The gated recurrent unit in cuDNN's form, in which the reset gate acts after the product:
//   R = sigmoid(X W_xr + H W_hr + b),  Z = sigmoid(X W_xz + H W_hz + b),
//   N = tanh(X W_xn + b_xn + R (H W_hn + b_hn)),  H_t = (1 - Z) N + Z H_{t-1}.
struct Gru {
  // Pre-activations are in the order N_x, R, Z, N_h: those with a share of the input (N R Z) are adjacent, and so are
  // those with a share of the hidden state (R Z N). torch.nn stacks its rows R Z N.
  static constexpr int gates = 3, preactivations = 4, hidden_offset = 1;
  static constexpr int input_gate[] = {2, 0, 1}, hidden_gate[] = {0, 1, 2};
  static constexpr bool has_cell = false, has_carry = true;

  static CHARLOOM_INLINE_MEMBER void forward(Vector (&preactivation)[4], Vector &h, Vector &) {
    auto &[n, r, z, n_h] = preactivation;
    r = sigmoid(r);
    z = sigmoid(z);
    n = tanh(n + r * n_h);
    h = n + z * (h - n);
  }

  // carry: the gradient of H_{t-1} by the term Z H_{t-1}.
  static CHARLOOM_INLINE_MEMBER void backward(Vector (&gate)[4], Vector h_prev, Vector, Vector, Vector dh,
                                              Vector &carry) {
    const auto [n, r, z, n_h] = gate;
    dh += carry;
    const Vector dn = dh * (1.f - z) * (1.f - n * n);
    gate[0] = dn;
    gate[1] = dn * n_h * r * (1.f - r);
    gate[2] = dh * (h_prev - n) * z * (1.f - z);
    gate[3] = dn * r;
    carry = dh * z;
  }
};

// Long short-term memory:
//   I, F, O = sigmoid(X W_x + H W_h + b),  G = tanh(X W_xg + H W_hg + b),
//   C_t = F C_{t-1} + I G,  H_t = O tanh(C_t).
struct Lstm {
  static constexpr int gates = 4, preactivations = 4, hidden_offset = 0;
  static constexpr int input_gate[] = {0, 1, 2, 3}, hidden_gate[] = {0, 1, 2, 3};
  static constexpr bool has_cell = true, has_carry = true;

  static CHARLOOM_INLINE_MEMBER void forward(Vector (&preactivation)[4], Vector &h, Vector &c) {
    auto &[i, f, g, o] = preactivation;
    i = sigmoid(i);
    f = sigmoid(f);
    g = tanh(g);
    o = sigmoid(o);
    c = f * c + i * g;
    h = o * tanh(c);
  }

  // carry: the gradient of the cell state.
  static CHARLOOM_INLINE_MEMBER void backward(Vector (&gate)[4], Vector, Vector c_prev, Vector c, Vector dh,
                                              Vector &carry) {
    const auto [i, f, g, o] = gate;
    const Vector tanh_c = tanh(c), dc = carry + dh * o * (1.f - tanh_c * tanh_c);
    gate[0] = dc * g * i * (1.f - i);
    gate[1] = dc * c_prev * f * (1.f - f);
    gate[2] = dc * i * (1.f - g * g);
    gate[3] = dh * tanh_c * o * (1.f - o);
    carry = dc * f;
  }
};

}  // namespace
