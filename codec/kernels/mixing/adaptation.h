// The update of the adaptive probabilities of a prediction, in vectors. StateMap (state_maps.h) and Node (memory.h)
// describe their bits.
#pragma once
#include "codec_kernels.h"
#include "network/integer_vectors.h"

// Anonymous: the linker must not share functions between the instruction sets.
namespace {

// Returns the rate after n bits, 1 / (n + 1.5) with 16 fraction bits: floor(2^17 / (2n + 3)), for n below 1024. The
// division of float32 numbers is exact enough in every rounding mode: a quotient that is not an integer differs from
// the next one by at least 2^-17 of it, and is rounded by less than 2^-22 of it.
CHARLOOM_INLINE Ints adaptation_rate(Ints n) {
  return __builtin_convertvector((float)(1 << 17) / __builtin_convertvector(2 * n + 3, Vector), Ints);
}
CHARLOOM_INLINE Ints product(Ints a, Ints b) { return (Ints)((Words)a * (Words)b); }  // wraps around

CHARLOOM_INLINE Ints updated_maps(Ints bits, int bit) {
  const Ints count = bits & 1023, p = (Ints)((Words)bits >> 10), rate = adaptation_rate(count);
  // (error * rate) >> 16, whose product has up to 38 bits.
  const Ints error = (bit << 22) - p, change = (product(error >> 7, rate) + (product(error & 127, rate) >> 7)) >> 9;
  const Ints updated = min(max(p + change, fill_ints(64)), fill_ints((1 << 22) - 64));
  return (Ints)((Words)updated << 10) | min(count + 1, fill_ints(1023));
}

CHARLOOM_INLINE Ints updated_nodes(Ints words, int bit) {
  const Ints count = words >> 16, p = words & 0xffff;
  const Ints change = product((bit << 16) - bit - p, adaptation_rate(count)) >> 16;
  const Ints updated = min(max(p + change, fill_ints(32)), fill_ints((1 << 16) - 33));
  return updated | min(count + 1, fill_ints(250)) << 16;
}

void adapt(const charloom::Probabilities &before, int bit, charloom::Probabilities &after) {
  for (long i = 0; i < charloom::kStateMaps; i += kLanes)
    store((int32_t *)after.maps + i, updated_maps(read<Ints>(before.maps + i), bit));
  for (long i = 0; i < charloom::kNodes; i += kLanes)
    store((int32_t *)after.nodes + i, updated_nodes(read<Ints>(before.nodes + i), bit));
}

}  // namespace
