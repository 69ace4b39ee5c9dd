// Vectors of 16-bit integers and the operations of the integer network, with equal results on every instruction set.
#pragma once
#include "vector.h"

#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace {

using UnsignedShorts = uint16_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
constexpr long kShortLanes = 2 * kLanes;

// Units, gates or tokens that the loops of the network take at a time: a multiple of every vector's lanes.
constexpr long kUnits = 32;
constexpr long kParts = kUnits / kShortLanes;

CHARLOOM_INLINE Shorts fill_shorts(int16_t x) { return Shorts{} + x; }
CHARLOOM_INLINE Ints fill_ints(int32_t x) { return Ints{} + x; }
CHARLOOM_INLINE void store(int16_t *to, Shorts v) { memcpy(to, &v, sizeof v); }
CHARLOOM_INLINE void store(int32_t *to, Ints v) { memcpy(to, &v, sizeof v); }

// Reads kLanes 16-bit numbers and widens them.
CHARLOOM_INLINE Ints read_widened(const int16_t *from) {
  using Half = int16_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES / 2)));
  return __builtin_convertvector(read<Half>(from), Ints);
}
CHARLOOM_INLINE Ints widened_low(Shorts v) { return read_widened((const int16_t *)&v); }
CHARLOOM_INLINE Ints widened_high(Shorts v) { return read_widened((const int16_t *)&v + kLanes); }

CHARLOOM_INLINE Ints lane_numbers() {  // 0, 1, 2, ...
  Ints v;
  for (int32_t i = 0; i < kLanes; i++) v[i] = i;
  return v;
}
CHARLOOM_INLINE Ints min(Ints a, Ints b) { return a < b ? a : b; }
CHARLOOM_INLINE Ints max(Ints a, Ints b) { return a > b ? a : b; }

// Narrows to 16 bits with saturation.
CHARLOOM_INLINE Shorts saturated(Ints low, Ints high) {
#if defined(__AVX512BW__)
  return (Shorts)_mm512_inserti64x4(_mm512_castsi256_si512(_mm512_cvtsepi32_epi16((__m512i)low)),
                                    _mm512_cvtsepi32_epi16((__m512i)high), 1);
#elif defined(__AVX2__)
  return (Shorts)_mm256_permute4x64_epi64(_mm256_packs_epi32((__m256i)low, (__m256i)high), 0xd8);
#elif defined(__SSE2__)
  return (Shorts)_mm_packs_epi32((__m128i)low, (__m128i)high);
#elif defined(__ARM_NEON)
  return (Shorts)vcombine_s16(vqmovn_s32((int32x4_t)low), vqmovn_s32((int32x4_t)high));
#else
  Shorts v;
  for (long i = 0; i < kShortLanes; i++) {
    const int32_t x = i < kLanes ? low[i] : high[i - kLanes];
    v[i] = (int16_t)(x > 32767 ? 32767 : x < -32768 ? -32768 : x);
  }
  return v;
#endif
}

CHARLOOM_INLINE Shorts add_saturated(Shorts a, Shorts b) {
#if defined(__SSE2__)
  return (Shorts)CHARLOOM_INTEL(adds_epi16)((IntelInts)a, (IntelInts)b);
#elif defined(__ARM_NEON)
  return (Shorts)vqaddq_s16((int16x8_t)a, (int16x8_t)b);
#else
  return saturated(widened_low(a) + widened_low(b), widened_high(a) + widened_high(b));
#endif
}

// A rounded product of numbers with 15 fraction bits (Q15): (a * b + 2^14) >> 15. The caller guarantees that not both
// are -2^15, for which the instruction sets differ.
CHARLOOM_INLINE Shorts multiply_q15(Shorts a, Shorts b) {
#if defined(__AVX2__)
  return (Shorts)CHARLOOM_INTEL(mulhrs_epi16)((IntelInts)a, (IntelInts)b);
#elif defined(__SSE2__)
  const __m128i high = _mm_mulhi_epi16((__m128i)a, (__m128i)b), low = _mm_mullo_epi16((__m128i)a, (__m128i)b);
  const __m128i rounded = _mm_srli_epi16(_mm_add_epi16(_mm_srli_epi16(low, 14), _mm_set1_epi16(1)), 1);
  return (Shorts)_mm_add_epi16(_mm_slli_epi16(high, 1), rounded);
#elif defined(__ARM_NEON)
  return (Shorts)vqrdmulhq_s16((int16x8_t)a, (int16x8_t)b);
#else
  Shorts v;
  for (long i = 0; i < kShortLanes; i++) v[i] = (int16_t)((a[i] * b[i] + (1 << 14)) >> 15);
  return v;
#endif
}

// Returns the upper 32 bits of each product.
CHARLOOM_INLINE Words high_product(Words a, uint32_t b) {
#if defined(__SSE2__)
  using Longs = uint64_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
  const IntelInts factor = (IntelInts)(Words{} + b), odd_factors = (IntelInts)((Longs)a >> 32);
  const Longs even = (Longs)CHARLOOM_INTEL(mul_epu32)((IntelInts)a, factor);
  const Longs odd = (Longs)CHARLOOM_INTEL(mul_epu32)(odd_factors, factor);
  return (Words)(even >> 32 | odd >> 32 << 32);
#else
  Words v;
  for (long i = 0; i < kLanes; i++) v[i] = (uint32_t)((uint64_t)a[i] * b >> 32);
  return v;
#endif
}

CHARLOOM_INLINE Shorts relu(Shorts v) { return v > 0 ? v : Shorts{}; }

// A table of 32 numbers, one for each segment; in registers if the instruction set can look up in registers.
class SegmentTable {
 public:
  explicit SegmentTable(const int16_t *numbers) {
#if defined(__AVX512BW__)
    numbers_ = read<Shorts>(numbers);
#elif defined(__AVX2__)
    for (long half = 0; half < 2; half++)
      for (long i = 0; i < 32; i++) {
        low_[half][i] = (uint8_t)numbers[16 * half + i % 16];
        high_[half][i] = (uint8_t)(numbers[16 * half + i % 16] >> 8);
      }
#else
    numbers_ = numbers;
#endif
  }

  // segment: each from 0 to 31.
  CHARLOOM_INLINE_MEMBER Shorts operator[](Shorts segment) const {
#if defined(__AVX512BW__)
    return (Shorts)_mm512_permutexvar_epi16((__m512i)segment, (__m512i)numbers_);
#elif defined(__AVX2__)
    // A lookup covers 16 bytes only, so there are two; the low and the high byte of a number are in separate tables.
    const __m256i both = (__m256i)(segment | (segment << 8)), in_second = (__m256i)((Shorts)both << 3);
    const __m256i low = _mm256_blendv_epi8(look_up(low_[0], both), look_up(low_[1], both), in_second);
    const __m256i high = _mm256_blendv_epi8(look_up(high_[0], both), look_up(high_[1], both), in_second);
    return (Shorts)_mm256_blendv_epi8(low, high, _mm256_set1_epi16((int16_t)0xff00));
#else
    Shorts v;
    for (long i = 0; i < kShortLanes; i++) v[i] = numbers_[segment[i]];
    return v;
#endif
  }

 private:
#if defined(__AVX512BW__)
  Shorts numbers_;
#elif defined(__AVX2__)
  static CHARLOOM_INLINE_MEMBER __m256i look_up(const uint8_t *bytes, __m256i index) {
    return _mm256_shuffle_epi8(_mm256_load_si256(reinterpret_cast<const __m256i *>(bytes)), index);
  }
  alignas(32) uint8_t low_[2][32], high_[2][32];
#else
  const int16_t *numbers_;
#endif
};

// tanh, from 12 fraction bits to 15: a quadratic polynomial in each of 32 segments of the positive half; the negative
// half follows by symmetry.
class Tanh {
 public:
  explicit Tanh(const int16_t *table) : constant_(table), linear_(table + 32), quadratic_(table + 64) {}

  CHARLOOM_INLINE_MEMBER Shorts operator()(Shorts z) const {
    const Shorts sign = z >> 15;
    const UnsignedShorts magnitude = (UnsignedShorts)(z ^ sign) - (UnsignedShorts)sign;
    const Shorts size = (Shorts)(magnitude > 32767 ? UnsignedShorts{} + 32767 : magnitude);
    const Shorts segment = size >> 10, x = (size & 1023) << 5;
    const Shorts result = constant_[segment] + multiply_q15(linear_[segment] + multiply_q15(quadratic_[segment], x), x);
    return (result ^ sign) - sign;
  }
  // Returns the sigmoid of twice the argument: sigmoid(2x) = (1 + tanh x) / 2.
  CHARLOOM_INLINE_MEMBER Shorts sigmoid(Shorts half) const { return ((*this)(half) >> 1) + (1 << 14); }

 private:
  SegmentTable constant_, linear_, quadratic_;
};

}  // namespace
