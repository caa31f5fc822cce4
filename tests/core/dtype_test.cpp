#include "cria/core/dtype.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace cria {

namespace {

float from_bits(uint32_t bits) { return std::bit_cast<float>(bits); }

bf16 bf16_from_bits(uint32_t bits) {
  bf16 value;
  value.bits = static_cast<uint16_t>(bits);
  return value;
}

// The value of finite bf16 bits in double; beyond the largest comes 2^128, where rounding to
// infinity begins to be nearest.
double magnitude(uint32_t bits) {
  const uint32_t m = bits & 0x7fffu;
  if (m >= 0x7f80u) return 0x1p128;
  return static_cast<double>(from_bits(m << 16));
}

TEST(DType, SizesAndNames) {
  EXPECT_EQ(size_of(DType::f32), 4u);
  EXPECT_EQ(size_of(DType::bf16), 2u);
  EXPECT_EQ(size_of(DType::f16), 2u);
  EXPECT_EQ(size_of(DType::i32), 4u);
  EXPECT_EQ(size_of(DType::u8), 1u);
  EXPECT_EQ(name_of(DType::f32), "fp32");
  EXPECT_EQ(name_of(DType::bf16), "bf16");
  EXPECT_EQ(name_of(DType::f16), "fp16");
  EXPECT_EQ(name_of(DType::i32), "i32");
  EXPECT_EQ(name_of(DType::u8), "u8");
}

TEST(DType, VisitPassesTheType) {
  const auto bytes = [](DType dtype) {
    return visit_dtype(dtype, []<typename T>() { return sizeof(T); });
  };
  EXPECT_EQ(bytes(DType::f32), 4u);
  EXPECT_EQ(bytes(DType::bf16), 2u);
  EXPECT_THROW(bytes(DType::i32), Error);
  EXPECT_THROW(bytes(DType::f16), Error);
}

TEST(BFloat16, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffffu; ++bits) {
    const float value = bf16_from_bits(bits);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(bf16(value))));
    } else {
      ASSERT_EQ(bf16(value).bits, bits);
    }
  }
}

// Every upper half, with the lower halves at which the rounding changes: below, at and above the
// middle. Covers both signs, subnormals, and the overflow to infinity.
TEST(BFloat16, RoundsToNearestTiesToEven) {
  for (uint32_t upper = 0; upper <= 0xffffu; ++upper) {
    if ((upper & 0x7f80u) == 0x7f80u) continue;  // infinities and NaN: below
    for (const uint32_t lower : {0x0000u, 0x0001u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const float value = from_bits(upper << 16 | lower);
      const double exact = std::abs(static_cast<double>(value));
      const double to_lower = exact - magnitude(upper);
      const double to_upper = magnitude(upper + 1) - exact;
      const bool up = to_upper < to_lower || (to_upper == to_lower && upper % 2 == 1);
      ASSERT_EQ(bf16(value).bits, upper + (up ? 1 : 0)) << std::hex << upper << " " << lower;
    }
  }
}

TEST(BFloat16, InfinitiesAndNaN) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(static_cast<float>(bf16(infinity)), infinity);
  EXPECT_EQ(static_cast<float>(bf16(-infinity)), -infinity);
  EXPECT_EQ(static_cast<float>(bf16(std::numeric_limits<float>::max())), infinity);
  // NaN whose payload lies in the lost half only, quiet and signalling, of both signs.
  for (const uint32_t bits : {0x7f800001u, 0xff800001u, 0x7fc00000u, 0x7fffffffu, 0xffffffffu}) {
    EXPECT_TRUE(std::isnan(static_cast<float>(bf16(from_bits(bits))))) << std::hex << bits;
    for (const uint32_t random : {0u, 0xffffu}) {
      EXPECT_TRUE(std::isnan(static_cast<float>(round_stochastically(from_bits(bits), random))));
    }
  }
}

// Over all random words a value with lower half n goes up n times in 65,536: exactly unbiased.
TEST(BFloat16, StochasticRoundingGoesUpAsOftenAsItShould) {
  for (const uint32_t upper : {0x3f80u, 0xbf80u, 0x0000u, 0x8001u, 0x7f7eu}) {
    for (const uint32_t lower : {0u, 1u, 0x5555u, 0x8000u, 0xffffu}) {
      const float value = from_bits(upper << 16 | lower);
      uint32_t ups = 0;
      for (uint32_t random = 0; random <= 0xffffu; ++random) {
        const uint32_t bits = round_stochastically(value, random).bits;
        ASSERT_TRUE(bits == upper || bits == upper + 1);
        ups += bits != upper ? 1 : 0;
      }
      EXPECT_EQ(ups, lower);
    }
  }
}

TEST(BFloat16, StochasticRoundingUsesTheLowerBitsOfTheWord) {
  const float value = from_bits(0x3f808000u);
  EXPECT_EQ(round_stochastically(value, 0xffff0000u).bits, 0x3f80u);
  EXPECT_EQ(round_stochastically(value, 0x00008000u).bits, 0x3f81u);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(static_cast<float>(round_stochastically(infinity, 0xffffu)), infinity);
}

// sign * 2^(exponent - 15) * (1 + mantissa / 1024), subnormals 2^-14 * mantissa / 1024.
TEST(Half, EveryValue) {
  for (uint32_t bits = 0; bits <= 0xffffu; ++bits) {
    const float value = f16_to_f32(static_cast<uint16_t>(bits));
    const double sign = bits & 0x8000u ? -1.0 : 1.0;
    const int exponent = static_cast<int>(bits >> 10 & 0x1fu);
    const double fraction = static_cast<double>(bits & 0x3ffu) / 1024;
    ASSERT_EQ(std::signbit(value), sign < 0) << std::hex << bits;
    if (exponent == 31 && fraction > 0) {
      ASSERT_TRUE(std::isnan(value)) << std::hex << bits;
    } else if (exponent == 31) {
      ASSERT_EQ(value, static_cast<float>(sign) * std::numeric_limits<float>::infinity());
    } else {
      const double expected = exponent == 0 ? sign * std::ldexp(fraction, -14)
                                            : sign * std::ldexp(1 + fraction, exponent - 15);
      ASSERT_EQ(static_cast<double>(value), expected) << std::hex << bits;
    }
  }
}

}  // namespace

}  // namespace cria
