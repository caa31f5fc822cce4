// Element types. fp32 and bf16 are computed with, fp16 is only read from checkpoints, i32 holds ids
// and offsets, u8 holds opaque bytes (workspace, a library's own weight layout).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cria/core/error.h"
#include "cria/core/host_device.h"

namespace cria {

enum class DType { f32, bf16, f16, i32, u8 };

constexpr size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::u8:
      return 1;
  }
  return 0;
}

std::string_view name_of(DType dtype);

// bfloat16: the upper half of an fp32. Conversion from fp32 rounds to nearest, ties to even; NaN
// stays NaN. The type is cria's own so that kernels compile without CUDA's headers.
struct bf16 {
  uint16_t bits = 0;

  bf16() = default;
  CRIA_HOST_DEVICE explicit bf16(float value) {
    const uint32_t word = std::bit_cast<uint32_t>(value);
    const uint32_t rounded = (word + 0x7fffu + ((word >> 16) & 1u)) >> 16;
    const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
    bits = static_cast<uint16_t>(is_nan ? (word >> 16) | 0x40u : rounded);
  }
  CRIA_HOST_DEVICE operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

// Rounds up or down at random so that the mean over uniform `random` (its lower 16 bits count) is
// the value: what a sum of small updates needs. Values that bf16 holds, infinities included, come
// out unchanged; NaN stays NaN.
CRIA_HOST_DEVICE inline bf16 round_stochastically(float value, uint32_t random) {
  const uint32_t word = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (word + (random & 0xffffu)) >> 16;
  const bool is_nan = (word & 0x7fffffffu) > 0x7f800000u;
  bf16 result;
  result.bits = static_cast<uint16_t>(is_nan ? (word >> 16) | 0x40u : rounded);
  return result;
}

// IEEE half to fp32, exact.
float f16_to_f32(uint16_t bits);

template <typename T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<bf16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}

// Calls f.operator()<T>() with the C++ type of a floating dtype that cria computes with:
//   visit_dtype(x.dtype, [&]<typename T>() { scale(x.as<T>(), x.size()); });
template <typename F>
decltype(auto) visit_dtype(DType dtype, F&& f) {
  CRIA_ASSERT(dtype == DType::f32 || dtype == DType::bf16);
  if (dtype == DType::bf16) return f.template operator()<bf16>();
  return f.template operator()<float>();
}

}  // namespace cria
