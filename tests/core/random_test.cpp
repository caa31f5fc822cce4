#include "cria/core/random.h"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

namespace cria {

namespace {

// The known-answer vectors of philox4x32-10 published with Random123 (kat_vectors).
TEST(Philox, PublishedVectors) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, CanBeComputedByTheCompiler) {
  static_assert(philox4x32({0, 0, 0, 0}, {0, 0})[0] == 0x6627e8d5);
  static_assert(Random(1, Purpose::data_shuffle).words(2) ==
                Random(1, Purpose::data_shuffle).words(2));
}

// Seed, purpose, example and position each stand in bits of the counter or the key of their own.
TEST(Random, LayoutOfCounterAndKey) {
  const Random random(0x1111111122222222, Purpose::token_sampling, 0x3333333344444444);
  EXPECT_EQ(random.words(0x555566666666),
            philox4x32({0x66666666, 0x00045555, 0x44444444, 0x33333333}, {0x22222222, 0x11111111}));
}

TEST(Random, EveryPartOfTheKeyMatters) {
  std::set<PhiloxBlock> blocks;
  size_t count = 0;
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32}) {
    for (const Purpose purpose :
         {Purpose::parameter_init, Purpose::data_shuffle, Purpose::data_mixture,
          Purpose::token_sampling, Purpose::stochastic_rounding, Purpose::data_synthesis}) {
      for (const uint64_t example : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32}) {
        for (const uint64_t position :
             {uint64_t{0}, uint64_t{1}, uint64_t{1} << 16, uint64_t{1} << 32, uint64_t{1} << 47}) {
          blocks.insert(Random(seed, purpose, example).words(position));
          ++count;
        }
      }
    }
  }
  EXPECT_EQ(blocks.size(), count);
}

// The bounds of the moments below are five standard errors of the mean of n draws.
constexpr uint64_t kDraws = 100000;
const double kFiveErrors = 5 / std::sqrt(static_cast<double>(kDraws));

TEST(Random, UniformFillsTheUnitInterval) {
  const Random random(7, Purpose::data_synthesis);
  double sum = 0;
  double squares = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const float u = random.uniform(i);
    ASSERT_GE(u, 0.0f);
    ASSERT_LT(u, 1.0f);
    sum += static_cast<double>(u);
    squares += static_cast<double>(u) * static_cast<double>(u);
  }
  const double n = static_cast<double>(kDraws);
  EXPECT_NEAR(sum / n, 0.5, kFiveErrors * std::sqrt(1.0 / 12));
  EXPECT_NEAR(squares / n, 1.0 / 3, kFiveErrors * std::sqrt(4.0 / 45));
}

TEST(Random, UniformTakesTheUpper24Bits) {
  const Random random(7, Purpose::data_synthesis, 3);
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(static_cast<double>(random.uniform(i)),
              static_cast<double>(random.words(i)[0] >> 8) / 16777216.0);
  }
}

TEST(Random, BelowIsUniformAndStaysBelow) {
  const Random random(8, Purpose::data_shuffle);
  constexpr uint64_t kBound = 7;
  std::array<double, kBound> counts = {};
  for (uint64_t i = 0; i < kDraws; ++i) {
    const uint64_t value = random.below(kBound, i);
    ASSERT_LT(value, kBound);
    counts[value] += 1;
  }
  for (const double count : counts) {
    EXPECT_NEAR(count / static_cast<double>(kDraws), 1.0 / 7, kFiveErrors * std::sqrt(6.0 / 49));
  }
}

TEST(Random, BelowAtItsLimits) {
  const Random random(9, Purpose::data_shuffle);
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(random.below(1, i), 0u);
    EXPECT_EQ(random.below(uint64_t{1} << 32, i), random.words(i)[0]);
    EXPECT_LT(random.below((uint64_t{1} << 32) - 1, i), (uint64_t{1} << 32) - 1);
  }
}

// Mean 0, variance 1, third moment 0, fourth 3; their estimates have the variances 1, 2, 15, 96
// over n.
TEST(Random, NormalHasTheMomentsOfTheNormal) {
  const Random random(10, Purpose::parameter_init);
  std::array<double, 5> moments = {};
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double x = static_cast<double>(random.normal(i));
    ASSERT_TRUE(std::isfinite(x));
    for (int k = 1; k <= 4; ++k) moments[k] += std::pow(x, k) / static_cast<double>(kDraws);
  }
  EXPECT_NEAR(moments[1], 0, kFiveErrors);
  EXPECT_NEAR(moments[2], 1, kFiveErrors * std::sqrt(2));
  EXPECT_NEAR(moments[3], 0, kFiveErrors * std::sqrt(15));
  EXPECT_NEAR(moments[4], 3, kFiveErrors * std::sqrt(96));
}

}  // namespace

}  // namespace cria
