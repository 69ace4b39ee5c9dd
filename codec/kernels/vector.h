// One vector of float32 lanes, as wide as the instruction set of this compilation, and the functions that the kernels
// need on it: exp, tanh, sigmoid, bfloat16, 8-bit integers. The codec adds 16-bit integers in
// codec/network/integer_vectors.h. Written with the vector extensions of GCC and Clang, so that one source serves all
// instruction sets.
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

// An anonymous namespace in every file that is compiled for each instruction set: the linker must not share a function
// between them, or a processor would meet instructions that it lacks.
namespace {

using Vector = float __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
using Ints = int32_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
using Words = uint32_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
using Shorts = int16_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES)));
using Bytes = int8_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES / 4)));
using Halves = uint16_t __attribute__((vector_size(CHARLOOM_VECTOR_BYTES / 2)));
constexpr long kLanes = CHARLOOM_VECTOR_BYTES / 4;

// Vectors of integers in the types of Intel's intrinsics, and the name of an intrinsic for this width.
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

// The upper half of a float32: the same range, 8 bits of significand.
struct bfloat16 {
  uint16_t bits;
};

// Reads a value from an address of any alignment. memcpy also keeps the access within the aliasing rules.
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
// Rounds float32 to bfloat16, to nearest with ties to even. A NaN stays a NaN: its quiet bit is set, since a payload in
// the lower half alone would leave an infinity. Bits: 32-bit integers, as many as the numbers.
template <class Bits, class Floats>
CHARLOOM_INLINE Bits round_to_upper_half(Floats x) {
  const Bits bits = read<Bits>(&x);
  return x == x ? (bits + 0x7fff + ((bits >> 16) & 1)) >> 16 : (bits >> 16) | 0x40;
}
CHARLOOM_INLINE Halves round_to_bfloat16(Vector v) {
#if defined(__AVX512BF16__)
  return (Halves)_mm512_cvtneps_pbh((__m512)v);
#else
  return __builtin_convertvector(round_to_upper_half<Words>(v), Halves);
#endif
}
CHARLOOM_INLINE void store(bfloat16 *to, Vector v) {
  const Halves h = round_to_bfloat16(v);
  memcpy(to, &h, sizeof h);
}
CHARLOOM_INLINE Halves load_as_bfloat16(const float *from) { return round_to_bfloat16(load(from)); }
CHARLOOM_INLINE Halves load_as_bfloat16(const bfloat16 *from) { return read<Halves>(from); }
CHARLOOM_INLINE float to_float(float x) { return x; }
CHARLOOM_INLINE float to_float(bfloat16 x) {
  const uint32_t w = (uint32_t)x.bits << 16;
  return read<float>(&w);
}

CHARLOOM_INLINE Ints round_to_int(Vector v) {
  return __builtin_convertvector(v + (v < 0.f ? fill(-0.5f) : fill(0.5f)), Ints);
}
CHARLOOM_INLINE void set(float *to, float x) { *to = x; }
CHARLOOM_INLINE void set(bfloat16 *to, float x) { to->bits = (uint16_t)round_to_upper_half<uint32_t>(x); }

// The limit is the first operand of these comparisons, so that a NaN passes through: training must detect that it
// diverged.
CHARLOOM_INLINE Vector clamp_max(float limit, Vector x) {
  Vector l = fill(limit);
  return l < x ? l : x;
}
CHARLOOM_INLINE Vector clamp_min(float limit, Vector x) {
  Vector l = fill(limit);
  return l > x ? l : x;
}

// Sums of the products of two adjacent 16-bit numbers.
CHARLOOM_INLINE Ints pair_products(Shorts a, Shorts b) {
#if defined(__SSE2__)
  return (Ints)CHARLOOM_INTEL(madd_epi16)((IntelInts)a, (IntelInts)b);
#else
  // Unsigned products: they wrap around, as the intrinsic does.
  const Ints x = (Ints)a, y = (Ints)b;
  return (Ints)((Words)(x << 16 >> 16) * (Words)(y << 16 >> 16) + (Words)(x >> 16) * (Words)(y >> 16));
#endif
}

// Prefetches a cache line. An invalid address has no effect, so callers need no check at the end of an array.
CHARLOOM_INLINE void prefetch(const void *line) { __builtin_prefetch(line); }

CHARLOOM_INLINE float reduce_add(Vector v) {
#if defined(__AVX512F__)
  return _mm512_reduce_add_ps((__m512)v);
#else
  float sum = 0;
  for (int i = 0; i < kLanes; i++) sum += v[i];
  return sum;
#endif
}
CHARLOOM_INLINE float reduce_max(Vector v) {
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
  // 14 bits, doubled by one Newton step: half the cost of a division.
  Vector estimate = (Vector)_mm512_rcp14_ps((__m512)x);
  return estimate * (2.f - x * estimate);
#else
  return 1.f / x;
#endif
}

// e^x to about 2 units in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]. Source of the coefficients:
// Cephes (expf).
CHARLOOM_INLINE Vector exp(Vector x) {
  // Within these limits 2^n is a normal float32.
  x = clamp_max(88.f, clamp_min(-87.f, x));
  // Adding 1.5 * 2^23 + 127 leaves n + 127, rounded to nearest, in the low bits of the sum: the exponent of 2^n.
  Vector shifted = x * 1.44269504f + 12583039.f;
  Vector n = shifted - 12583039.f;
  // ln 2 in two parts: the first has few bits, so that n times it is exact.
  Vector r = x - n * 0.693359375f + n * 2.12194440e-4f;
  Vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  // A product, not a sum of exponents: low bits of a NaN would make that finite.
  return p * (Vector)((Ints)shifted << 23);
}

// tanh x to a few units in the last place: a rational function of degree 13 over 6. Source of the coefficients: Eigen.
//
// Beyond the range of the approximation the result is exactly 1 or -1. Otherwise the remainder of the derivative,
// multiplied with a huge input, would be a huge gradient.
CHARLOOM_INLINE Vector tanh(Vector x) {
  constexpr float kLimit = 7.90531110763549805f;
  const Vector unclamped = x;
  x = clamp_max(kLimit, clamp_min(-kLimit, x));
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
  const Vector magnitude = (Vector)((Ints)unclamped & INT32_MAX);
  const Vector sign = (Vector)(((Ints)unclamped & INT32_MIN) | (Ints)fill(1.f));
  return magnitude > fill(kLimit) ? sign : x * p * reciprocal(q);
}

// Computed by exp rather than tanh, so that small values keep their digits and exactly 0 and 1 are reached.
CHARLOOM_INLINE Vector sigmoid(Vector x) { return reciprocal(1.f + exp(-x)); }

}  // namespace
