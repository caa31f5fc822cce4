#include "trainers/evaluation/reward_distributions.h"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

namespace cria {
namespace {

// What numpy.quantile gives.
TEST(RewardDistributions, QuantilesAreThoseOfNumpy) {
  const std::vector<double> values = {1, 2, 4, 8};
  EXPECT_EQ(quantile(values, 0), 1);
  EXPECT_EQ(quantile(values, 0.25), 1.75);
  EXPECT_EQ(quantile(values, 0.5), 3);
  EXPECT_NEAR(quantile(values, 0.95), 7.4, 1e-14);
  EXPECT_EQ(quantile(values, 1), 8);
  EXPECT_EQ(quantile(std::vector<double>{5}, 0.95), 5);
}

StageRewards stage(const std::string& name, const std::vector<double>& rewards,
                   const std::string& category) {
  StageRewards stage{.stage = name, .answers = {}, .rewards = rewards};
  for (size_t i = 0; i < rewards.size(); ++i) {
    EvaluatedAnswer answer{.fields = nlohmann::json::object()};
    if (i % 2 == 0) answer.fields["category"] = category;
    stage.answers.push_back(answer);
  }
  return stage;
}

TEST(RewardDistributions, ShareTheirBins) {
  const std::vector<StageRewards> stages = {stage("sft", {-2, -1, 0, 1}, "safety"),
                                            stage("ppo", {1, 2, 1.5, 1.99}, "helpful")};
  const RewardDistributions result = reward_distributions(stages, 4, {"category"});
  EXPECT_EQ(result.edges, (std::vector<double>{-2, -1, 0, 1, 2}));
  ASSERT_EQ(result.distributions.size(), 4u);
  const RewardDistribution& sft = result.distributions[0];
  EXPECT_EQ(sft.stage, "sft");
  EXPECT_EQ(sft.part, "all");
  EXPECT_EQ(sft.answers, 4);
  EXPECT_EQ(sft.mean, -0.5);
  EXPECT_NEAR(sft.standard_deviation, std::sqrt(5.0 / 3), 1e-15);
  EXPECT_EQ(sft.counts, (std::vector<int64_t>{1, 1, 1, 1}));
  EXPECT_EQ(sft.quantiles[2], -0.5);
  const RewardDistribution& safety = result.distributions[1];
  EXPECT_EQ(safety.part, "category safety");
  EXPECT_EQ(safety.counts, (std::vector<int64_t>{1, 0, 1, 0}));
  EXPECT_EQ(result.distributions[2].stage, "ppo");
  EXPECT_EQ(result.distributions[2].counts, (std::vector<int64_t>{0, 0, 0, 4}));
  EXPECT_EQ(result.distributions[3].answers, 2);

  const Plot drawn = plot(result, "safety");
  ASSERT_EQ(drawn.series.size(), 2u);
  EXPECT_EQ(drawn.series[1].points[3], (std::pair<double, double>{1.5, 1.0}));
  EXPECT_EQ(drawn.series[0].points[0], (std::pair<double, double>{-1.5, 0.25}));
}

// Every reward is in a bin, whatever rounding does to the edges.
TEST(RewardDistributions, LoseNoAnswer) {
  for (const int bins : {1, 3, 7, 40}) {
    std::vector<double> rewards;
    for (int i = 0; i < 1000; ++i) rewards.push_back(0.1 * i - 33.3);
    const std::vector<StageRewards> stages = {stage("a", rewards, "x"), stage("b", {7}, "x")};
    for (const RewardDistribution& distribution :
         reward_distributions(stages, bins, {}).distributions) {
      EXPECT_EQ(std::accumulate(distribution.counts.begin(), distribution.counts.end(), int64_t{0}),
                distribution.answers);
    }
  }
  const std::vector<StageRewards> equal = {stage("a", {2, 2}, "x")};
  EXPECT_EQ(reward_distributions(equal, 2, {}).edges, (std::vector<double>{1.5, 2, 2.5}));
}

}  // namespace
}  // namespace cria
