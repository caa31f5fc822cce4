// Inline fp32 arithmetic that the compiler turns into vector instructions inside `#pragma omp simd`
// loops: no branches, no calls, no tables.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "cria/core/dtype.h"

namespace cria::cpu {

// e^x within 2 units in the last place for every fp32 x. Results below the smallest normal number
// are 0, so that e^-inf is 0; e^inf is inf; NaN stays NaN.
// x = n ln 2 + r, |r| <= ln 2 / 2; e^r by the polynomial of Cephes' expf (Moshier 1989), its error
// below 2^-25; 2^n by adding n to the exponent field.
inline float fast_exp(float x) {
  constexpr float kLowest = -87.33654f;  // e^x is the smallest normal number
  constexpr float kHighest = 88.72283f;  // the largest x whose e^x is finite
  constexpr float kLog2E = 1.44269504f;
  // ln 2 in two parts; the first has so few bits that n times it is exact.
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;
  // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
  constexpr float kRound = 12582912.0f;

  const float shifted = std::fma(x, kLog2E, kRound);
  const float n = shifted - kRound;
  const float r = std::fma(n, -kLn2Low, std::fma(n, -kLn2High, x));
  float p = 1.9875691500e-4f;
  p = std::fma(p, r, 1.3981999507e-3f);
  p = std::fma(p, r, 8.3334519073e-3f);
  p = std::fma(p, r, 4.1665795894e-2f);
  p = std::fma(p, r, 1.6666665459e-1f);
  p = std::fma(p, r, 5.0000001201e-1f);
  p = std::fma(p * r, r, r) + 1.0f;
  const uint32_t bits = std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(shifted) << 23);
  float y = std::bit_cast<float>(bits);
  y = x < kLowest ? 0.0f : y;
  y = x > kHighest ? std::numeric_limits<float>::infinity() : y;
  return x == x ? y : x;
}

// The bits of bf16(value), written so that a loop of it vectorises.
inline uint16_t bf16_bits(float value) {
  const uint32_t word = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = word + (0x7fffu + ((word >> 16) & 1u));
  const uint32_t result = value == value ? rounded : word | 0x400000u;
  return static_cast<uint16_t>(result >> 16);
}

// element = value, rounded to the element's type.
inline void store(float& element, float value) { element = value; }
inline void store(bf16& element, float value) { element.bits = bf16_bits(value); }

// Rows between storage and fp32; rounds to nearest even on the way back.
inline void load_row(float* output, const float* input, int64_t count) {
  std::memcpy(output, input, static_cast<size_t>(count) * sizeof(float));
}

inline void load_row(float* output, const bf16* input, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) output[i] = input[i];
}

inline void store_row(float* output, const float* input, int64_t count) {
  std::memcpy(output, input, static_cast<size_t>(count) * sizeof(float));
}

inline void store_row(bf16* output, const float* input, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) output[i].bits = bf16_bits(input[i]);
}

}  // namespace cria::cpu
