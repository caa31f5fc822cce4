// Which prompts preferences are collected on, and who answers.
#include "trainers/rlhf/pair_plan.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

namespace cria {
namespace {

PreferencesConfig config_of(int64_t pairs) {
  PreferencesConfig config;
  config.preferences.pairs = pairs;
  config.preferences.temperatures = {0.5, 1.0};
  config.preferences.held_out = 0.25;
  return config;
}

TEST(PairPlan, TwoDifferentModelsWhereThereAreTwo) {
  constexpr int kPairs = 3000;
  for (const size_t models : {1, 2, 3}) {
    std::vector<int> first(models), second(models);
    int warm = 0, held_out = 0;
    for (const PlannedPair& pair : plan_pairs(config_of(kPairs), 1, 0, kPairs, models)) {
      const auto& [a, b] = pair.answers;
      ASSERT_LT(a.model, models);
      ASSERT_LT(b.model, models);
      if (models > 1) {
        EXPECT_NE(a.model, b.model);
      }
      ++first[a.model];
      ++second[b.model];
      warm += (a.temperature == 1.0) + (b.temperature == 1.0);
      held_out += pair.held_out;
    }
    // Within 5 standard deviations, sqrt(n p (1 - p)).
    const double share = 1.0 / static_cast<double>(models);
    const double bound = 5 * std::sqrt(kPairs * share * (1 - share));
    for (size_t m = 0; m < models; ++m) {
      EXPECT_NEAR(first[m], kPairs * share, bound);
      EXPECT_NEAR(second[m], kPairs * share, bound);
    }
    EXPECT_NEAR(warm, kPairs, 5 * std::sqrt(2 * kPairs * 0.25));
    EXPECT_NEAR(held_out, kPairs * 0.25, 5 * std::sqrt(kPairs * 0.25 * 0.75));
  }
}

// Three iterations of 4 pairs over 10 prompts: the first ten pairs ask each prompt once.
TEST(PairPlan, PromptsAreGoneThroughBeforeOneIsAskedAgain) {
  std::vector<size_t> asked;
  for (int64_t iteration = 1; iteration <= 5; ++iteration) {
    const int64_t first = 4 * (iteration - 1);
    for (const PlannedPair& pair : plan_pairs(config_of(4), iteration, first, 10, 2)) {
      EXPECT_EQ(pair.number, static_cast<int64_t>(asked.size()));
      asked.push_back(pair.prompt);
    }
  }
  const std::set<size_t> once(asked.begin(), asked.begin() + 10);
  const std::set<size_t> again(asked.begin() + 10, asked.end());
  EXPECT_EQ(once.size(), 10u);
  EXPECT_EQ(again.size(), 10u);
  EXPECT_FALSE(std::equal(asked.begin(), asked.begin() + 10, asked.begin() + 10));
}

TEST(PairPlan, IterationsDrawTheirOwn) {
  const auto models_of = [](int64_t iteration, uint64_t seed) {
    PreferencesConfig config = config_of(64);
    config.training.seed = seed;
    std::vector<size_t> models;
    for (const PlannedPair& pair : plan_pairs(config, iteration, 0, 64, 2)) {
      models.push_back(pair.answers[0].model);
    }
    return models;
  };
  EXPECT_EQ(models_of(1, 7), models_of(1, 7));
  EXPECT_NE(models_of(1, 7), models_of(2, 7));
  EXPECT_NE(models_of(1, 7), models_of(1, 8));
}

}  // namespace
}  // namespace cria
