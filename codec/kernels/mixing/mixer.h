// The mixer in vectors: dot products of logits with weight sets, and their training; see codec_kernels.h.
// context_mixing.h selects the weight sets.
#pragma once
#include "codec_kernels.h"
#include "network/integer_vectors.h"

// Anonymous: the linker must not share functions between the instruction sets.
namespace {

constexpr int kPaddedInputs = (charloom::kUsedInputs + kShortLanes - 1) / kShortLanes * kShortLanes;
static_assert(kPaddedInputs <= charloom::kInputs);

using Outputs = int32_t __attribute__((vector_size(4 * (charloom::kSets + 1))));  // of the weight sets, and a 0
using OutputWords = uint32_t __attribute__((vector_size(4 * (charloom::kSets + 1))));

CHARLOOM_INLINE int32_t reduce_add(Ints v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_epi32((__m512i)v);
#else
  uint32_t sum = 0;
  for (long i = 0; i < kLanes; i++) sum += (uint32_t)v[i];
  return (int32_t)sum;
#endif
}

#if defined(__SSE2__)
// Returns, in each 128-bit part, the sums of these parts of the four vectors.
CHARLOOM_INLINE Ints sums_of_parts(const Words *v) {
  Words halves[2];
  for (long i = 0; i < 2; i++) {
    const IntelInts a = (IntelInts)v[2 * i], b = (IntelInts)v[2 * i + 1];
    halves[i] = (Words)CHARLOOM_INTEL(unpacklo_epi32)(a, b) + (Words)CHARLOOM_INTEL(unpackhi_epi32)(a, b);
  }
  const IntelInts a = (IntelInts)halves[0], b = (IntelInts)halves[1];
  return (Ints)((Words)CHARLOOM_INTEL(unpacklo_epi64)(a, b) + (Words)CHARLOOM_INTEL(unpackhi_epi64)(a, b));
}
#endif

// Computes the sum of the lanes of each of eight vectors.
CHARLOOM_INLINE void reduce_each(const Words *v, int32_t *sums) {
#if defined(__AVX512F__)
  const __m512i a = (__m512i)sums_of_parts(v), b = (__m512i)sums_of_parts(v + 4);
  const __m512i halves = (__m512i)((Words)_mm512_shuffle_i64x2(a, b, 0x44) + (Words)_mm512_shuffle_i64x2(a, b, 0xee));
  const Words all =
      (Words)_mm512_shuffle_i64x2(halves, halves, 0x88) + (Words)_mm512_shuffle_i64x2(halves, halves, 0xdd);
  memcpy(sums, &all, 32);
#elif defined(__AVX2__)
  const __m256i a = (__m256i)sums_of_parts(v), b = (__m256i)sums_of_parts(v + 4);
  store(sums, (Ints)((Words)_mm256_permute2x128_si256(a, b, 0x20) + (Words)_mm256_permute2x128_si256(a, b, 0x31)));
#elif defined(__SSE2__)
  store(sums, sums_of_parts(v));
  store(sums + 4, sums_of_parts(v + 4));
#else
  for (int i = 0; i <= charloom::kSets; i++) sums[i] = reduce_add((Ints)v[i]);
#endif
}

CHARLOOM_INLINE int64_t clamp_logit(int64_t x) {
  constexpr int64_t limit = charloom::kLogitLimit;
  return x > limit ? limit : x < -limit ? -limit : x;
}

int mix(charloom::Mixer &mixer) {
  Words products[charloom::kSets + 1] = {};
  for (int s = 0; s < charloom::kSets; s++)
    for (int i = 0; i < kPaddedInputs; i += kShortLanes)
      products[s] += (Words)pair_products(read<Shorts>(mixer.inputs + i), read<Shorts>(mixer.weights[s] + i));
  int32_t sums[charloom::kSets + 1];
  reduce_each(products, sums);
  int64_t sum = 0;
  for (int s = 0; s < charloom::kSets; s++) {
    mixer.outputs[s] = (int32_t)clamp_logit(sums[s] >> charloom::kWeightBits);
    sum += (int64_t)mixer.final_weights[s] * mixer.outputs[s];
  }
  return (int)clamp_logit(sum >> 16);
}

// No product exceeds 32 bits: probabilities have 16 bits, logits 12, the rate 11.
void train(charloom::Mixer &mixer, int target, int error, int rate) {
  Outputs outputs, probabilities, final_weights;
  memcpy(&outputs, mixer.outputs, sizeof outputs);
  memcpy(&probabilities, mixer.probabilities, sizeof probabilities);
  memcpy(&final_weights, mixer.final_weights, sizeof final_weights);
  const Outputs changes = (outputs * error * 8 + (1 << 20)) >> 21;
  final_weights = (Outputs)((OutputWords)final_weights + (OutputWords)changes);  // wraps around
  memcpy(mixer.final_weights, &final_weights, sizeof final_weights);
  const Outputs steps = ((target - probabilities) * rate) >> 10;
  for (int s = 0; s < charloom::kSets; s++) {
    const int32_t limited = steps[s] < -32767 ? -32767 : steps[s] > 32767 ? 32767 : steps[s];
    const Shorts step = fill_shorts((int16_t)limited);
    int16_t *const weights = mixer.weights[s];
    for (int i = 0; i < kPaddedInputs; i += kShortLanes) {
      const Shorts change = multiply_q15(read<Shorts>(mixer.inputs + i), step);
      store(weights + i, add_saturated(read<Shorts>(weights + i), change));
    }
  }
}

}  // namespace
