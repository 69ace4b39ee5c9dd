// The plain (Elman) cell: H_t = phi(X_t W_xh + H_{t-1} W_hh + b), phi tanh or relu.
#pragma once
#include "cell.h"

namespace {

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

  static CHARLOOM_INLINE_MEMBER void backward(Vector (&gate)[1], Before, After, Vector dh, Vector &) {
    gate[0] = Phi::times_slope(dh, gate[0]);
  }
};

}  // namespace
