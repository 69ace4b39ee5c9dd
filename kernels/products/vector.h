// One vector of float32 lanes, as wide as the instruction set of this compilation, and what the cells need of it.
// Vector extensions of GCC and Clang: the same source for every instruction set.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define CHARLOOM_VECTOR_BYTES 64
#elif defined(__AVX__)
#define CHARLOOM_VECTOR_BYTES 32
#else
#define CHARLOOM_VECTOR_BYTES 16
#endif

#define CHARLOOM_INLINE static CHARLOOM_INLINE_MEMBER
#define CHARLOOM_INLINE_MEMBER inline __attribute__((always_inline))

namespace {  // every instruction set compiles its own: nothing here may be shared between them by the linker

using Vector = float __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
using Ints = int32_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
using Words = uint32_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
using Shorts = int16_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
using Bytes = int8_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES / 4)));
using Halves = uint16_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES / 2)));
constexpr long kLanes = CHARLOOM_VECTOR_BYTES / 4;

// Integers as Intel's operations take them, and such an operation on one vector of this width.
#if defined(__AVX512BW__)
using IntelInts = __m512i;
#define CHARLOOM_INTEL(operation) _mm512_##operation
#elif defined(__AVX2__)
using IntelInts = __m256i;
#define CHARLOOM_INTEL(operation) _mm256_##operation
#elif defined(__SSE2__)
using IntelInts = __m128i;
#define CHARLOOM_INTEL(operation) _mm_##operation
#endif

// The upper half of a float32: same range, 8 bits of significand.
struct bfloat16 {
  uint16_t bits;
};

// What lies at an address that may be any.
template <class To>
CHARLOOM_INLINE To read(const void *from) {
  To v;
  memcpy(&v, from, sizeof v);
  return v;
}

CHARLOOM_INLINE Vector fill(float x) { return Vector{} + x; }
CHARLOOM_INLINE Vector load(const float *from) { return read<Vector>(from); }
CHARLOOM_INLINE void store(float *to, Vector v) { memcpy(to, &v, sizeof v); }

CHARLOOM_INLINE Vector load(const bfloat16 *from) {
  return (Vector)(__builtin_convertvector(read<Halves>(from), Words) << 16);
}
// Rounds to nearest, ties to even; a NaN stays one. Bits: integers of 32 bits, as many as the numbers.
template <class Bits, class Floats>
CHARLOOM_INLINE Bits upper_halves(Floats x) {
  const Bits bits = read<Bits>(&x);
  return x == x ? (bits + 0x7fff + ((bits >> 16) & 1)) >> 16 : (bits >> 16) | 0x40;
}
CHARLOOM_INLINE Halves rounded_to_bfloat16(Vector v) {
#if defined(__AVX512BF16__)
  return (Halves)_mm512_cvtneps_pbh((__m512)v);
#else
  return __builtin_convertvector(upper_halves<Words>(v), Halves);
#endif
}
CHARLOOM_INLINE void store(bfloat16 *to, Vector v) {
  const Halves h = rounded_to_bfloat16(v);
  memcpy(to, &h, sizeof h);
}
CHARLOOM_INLINE Halves load_rounded(const float *from) { return rounded_to_bfloat16(load(from)); }
CHARLOOM_INLINE Halves load_rounded(const bfloat16 *from) { return read<Halves>(from); }
CHARLOOM_INLINE float to_float(float x) { return x; }
CHARLOOM_INLINE float to_float(bfloat16 x) {
  const uint32_t w = (uint32_t)x.bits << 16;
  return read<float>(&w);
}

// 8-bit integers: numbers between -1 and 1 in steps of 1/127, rounded to nearest.
CHARLOOM_INLINE Ints rounded_to_int(Vector v) {
  return __builtin_convertvector(v + (v < 0.f ? fill(-0.5f) : fill(0.5f)), Ints);
}
CHARLOOM_INLINE void store(int8_t *to, Vector v) {
  const Bytes bytes = __builtin_convertvector(rounded_to_int(v * 127.f), Bytes);
  memcpy(to, &bytes, sizeof bytes);
}
CHARLOOM_INLINE void set(int8_t *to, float x) { *to = (int8_t)(x * 127.f + (x < 0 ? -0.5f : 0.5f)); }
CHARLOOM_INLINE void set(float *to, float x) { *to = x; }
CHARLOOM_INLINE void set(bfloat16 *to, float x) { to->bits = (uint16_t)upper_halves<uint32_t>(x); }

// The limit comes first in these comparisons, so that a NaN passes through: training must see that it diverged.
CHARLOOM_INLINE Vector at_most(float limit, Vector x) {
  Vector l = fill(limit);
  return l < x ? l : x;
}
CHARLOOM_INLINE Vector at_least(float limit, Vector x) {
  Vector l = fill(limit);
  return l > x ? l : x;
}

// Sums of the products of two neighbours each.
CHARLOOM_INLINE Ints pair_products(Shorts a, Shorts b) {
#if defined(__SSE2__)
  return (Ints)CHARLOOM_INTEL(madd_epi16)((IntelInts)a, (IntelInts)b);
#else
  const Ints x = (Ints)a, y = (Ints)b;
  return (Ints)((Words)(x << 16 >> 16) * (Words)(y << 16 >> 16) + (Words)(x >> 16) * (Words)(y >> 16));
#endif
}

// Asks for a line that will be needed soon; any address will do.
CHARLOOM_INLINE void prefetch(const void *line) { __builtin_prefetch(line); }

CHARLOOM_INLINE float sum_of_lanes(Vector v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float sum = 0;
  for (int i = 0; i < kLanes; i++) sum += v[i];
  return sum;
#endif
}
CHARLOOM_INLINE float largest_lane(Vector v) {
#if defined(__AVX512F__)
  return _mm512_reduce_max_ps((__m512)v);
#else
  float largest = v[0];
  for (int i = 1; i < kLanes; i++) largest = largest < v[i] ? v[i] : largest;
  return largest;
#endif
}

CHARLOOM_INLINE Vector reciprocal(Vector x) {
#if defined(__AVX512F__)
  Vector estimate = (Vector)_mm512_rcp14_ps((__m512)x);  // and one step of Newton's, half the cost of a division
  return estimate * (2.f - x * estimate);
#else
  return 1.f / x;
#endif
}

// e^x to about 2 units in the last place: 2^n times a polynomial (Cephes) on [-ln 2 / 2, ln 2 / 2].
CHARLOOM_INLINE Vector exp(Vector x) {
  x = at_most(88.f, at_least(-87.f, x));
  Vector shifted = x * 1.44269504f + 12582912.f;  // 1.5 * 2^23: the sum's low bits hold n, rounded to nearest
  Vector n = shifted - 12582912.f;
  Vector r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  return (Vector)((Ints)p + (((Ints)shifted) << 23));
}

// tanh x to a few units in the last place: a rational function of degree 13 over 6 (Eigen's coefficients).
// Beyond their range the result is exactly 1 or -1: what is left of the derivative, times a huge input, would be a huge
// gradient.
CHARLOOM_INLINE Vector tanh(Vector x) {
  constexpr float kLimit = 7.90531110763549805f;
  const Vector whole = x;
  x = at_most(kLimit, at_least(-kLimit, x));
  Vector z = x * x;
  Vector p = z * -2.76076847742355e-16f + 2.00018790482477e-13f;
  p = p * z + -8.60467152213735e-11f;
  p = p * z + 5.12229709037114e-08f;
  p = p * z + 1.48572235717979e-05f;
  p = p * z + 6.37261928875436e-04f;
  p = p * z + 4.89352455891786e-03f;
  Vector q = z * 1.19825839466702e-06f + 1.18534705686654e-04f;
  q = q * z + 2.26843463243900e-03f;
  q = q * z + 4.89352518554385e-03f;
  const Vector magnitude = (Vector)((Ints)whole & INT32_MAX);
  const Vector sign = (Vector)(((Ints)whole & INT32_MIN) | (Ints)fill(1.f));
  return magnitude > fill(kLimit) ? sign : x * p * reciprocal(q);
}

// By exp and not by tanh, so that small values keep their digits, and exactly 0 and 1 are reached.
CHARLOOM_INLINE Vector sigmoid(Vector x) { return reciprocal(1.f + exp(-x)); }

}  // namespace
