// Numbers as networks store them, on the device and on the host alike.
#ifndef TRTDET_KERNELS_NUMBER_H_
#define TRTDET_KERNELS_NUMBER_H_

#include <cmath>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define TRTDET_DEVICE __host__ __device__
#else
#define TRTDET_DEVICE
#endif

namespace trtdet {

TRTDET_DEVICE inline uint32_t BitsOf(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

TRTDET_DEVICE inline float FloatOf(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

TRTDET_DEVICE inline bool Finite(float x) { return (BitsOf(x) & 0x7f800000u) != 0x7f800000u; }

// IEEE binary16.
struct Half {
  uint16_t bits;
};

TRTDET_DEVICE inline float ToFloat(float x) { return x; }

TRTDET_DEVICE inline float ToFloat(Half h) {
  const uint32_t sign = (h.bits & 0x8000u) << 16;
  const uint32_t exponent = h.bits >> 10 & 0x1fu;
  const uint32_t fraction = h.bits & 0x3ffu;
  if (exponent == 31) return FloatOf(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return FloatOf(sign | (exponent + 112) << 23 | fraction << 13);
  return FloatOf(sign | BitsOf(static_cast<float>(fraction) * (1.0f / (1 << 24))));
}

TRTDET_DEVICE inline void Store(float* to, float x) { *to = x; }

// Rounds to the nearest half, to an even one between two.
TRTDET_DEVICE inline void Store(Half* to, float x) {
  const uint32_t bits = BitsOf(x);
  const uint32_t sign = bits >> 16 & 0x8000u;
  const uint32_t size = bits & 0x7fffffffu;
  uint32_t half;
  if (size > 0x7f800000u) {
    half = 0x7e00u;  // NaN
  } else if (size >= 0x477ff000u) {
    half = 0x7c00u;  // 65520 and more are infinite
  } else if (size >= 0x38800000u) {
    half = (size - (112u << 23) + 0xfffu + (size >> 13 & 1u)) >> 13;
  } else {
    // below 2^-14: adding 0.5 leaves the multiple of 2^-24 in the lowest bits, rounded
    half = BitsOf(FloatOf(size) + 0.5f) - 0x3f000000u;
  }
  to->bits = static_cast<uint16_t>(sign | half);
}

// 1 / (1 + exp(-x)), in double and rounded once, as decode/ has it in Go.
TRTDET_DEVICE inline float Sigmoid(float x) { return static_cast<float>(1.0 / (1.0 + exp(-static_cast<double>(x)))); }

}  // namespace trtdet

#endif  // TRTDET_KERNELS_NUMBER_H_
