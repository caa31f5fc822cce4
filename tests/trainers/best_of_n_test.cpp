#include "trainers/rejection/best_of_n.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "cria/core/random.h"

namespace cria {
namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

std::vector<std::vector<double>> rewards_of_prompts(int64_t prompts, int64_t K) {
  const Random random(7, Purpose::data_synthesis);
  std::vector<std::vector<double>> rewards(static_cast<size_t>(prompts));
  uint64_t position = 0;
  for (auto& of_prompt : rewards) {
    // Floats, as scores are; some of them equal.
    for (int64_t i = 0; i < K; ++i) {
      of_prompt.push_back(
          double{static_cast<float>(std::round(random.normal(position++) * 8) / 8)});
    }
  }
  return rewards;
}

BestOfN filled(const std::vector<std::vector<double>>& rewards, double shift_of_second) {
  const auto K = static_cast<int64_t>(rewards.front().size());
  BestOfN best_of_n({0.5, 1.0}, K);
  for (const auto& of_prompt : rewards) {
    for (int64_t i = 0; i < 2 * K; ++i) {
      PooledSample sample{.sample = i};
      const double shift = i < K ? 0.0 : shift_of_second;
      sample.score.combined = static_cast<float>(of_prompt[static_cast<size_t>(i % K)] + shift);
      sample.finished_by_eos = i < K || i % 2 == 0;
      best_of_n.add(sample);
    }
  }
  return best_of_n;
}

TEST(BestOfN, IsTheMeanOverAllSubsets) {
  constexpr int64_t K = 10;
  const auto rewards = rewards_of_prompts(3, K);
  const BestOfN best_of_n = filled(rewards, 2.0);
  const std::vector<double> maximum = best_of_n.expected_maximum(0);
  const std::vector<double> medians = best_of_n.expected_median(0);
  ASSERT_EQ(maximum.size(), static_cast<size_t>(K));
  for (int n = 1; n <= K; ++n) {
    double maximum_sum = 0;
    double median_sum = 0;
    double count = 0;
    for (const auto& of_prompt : rewards) {
      for (uint32_t subset = 0; subset < 1u << K; ++subset) {
        if (std::popcount(subset) != n) continue;
        std::vector<double> drawn;
        for (size_t i = 0; i < K; ++i) {
          if (subset >> i & 1u) drawn.push_back(of_prompt[i]);
        }
        maximum_sum += *std::max_element(drawn.begin(), drawn.end());
        median_sum += median(drawn);
        ++count;
      }
    }
    // Rewards below 4 in magnitude and 10 terms: some units in the last place of a double, times
    // the logarithms' own (ln 10! = 15).
    EXPECT_NEAR(maximum[static_cast<size_t>(n - 1)], maximum_sum / count, 1e-13) << n;
    EXPECT_NEAR(medians[static_cast<size_t>(n - 1)], median_sum / count, 1e-13) << n;
    EXPECT_NEAR(best_of_n.expected_maximum(1)[static_cast<size_t>(n - 1)],
                maximum_sum / count + 2.0, 1e-13);
  }
}

TEST(BestOfN, EndsAreTheMeanAndTheBestOfAll) {
  const auto rewards = rewards_of_prompts(5, 7);
  const BestOfN best_of_n = filled(rewards, 0.0);
  double mean = 0;
  double best = 0;
  double middle = 0;
  for (const auto& of_prompt : rewards) {
    mean += std::accumulate(of_prompt.begin(), of_prompt.end(), 0.0) / 7 / 5;
    best += *std::max_element(of_prompt.begin(), of_prompt.end()) / 5;
    middle += median(of_prompt) / 5;
  }
  EXPECT_NEAR(best_of_n.expected_maximum(0).front(), mean, 1e-14);
  EXPECT_NEAR(best_of_n.expected_median(0).front(), mean, 1e-14);
  EXPECT_NEAR(best_of_n.mean_reward(0), mean, 1e-14);
  EXPECT_NEAR(best_of_n.expected_maximum(0).back(), best, 1e-14);
  EXPECT_NEAR(best_of_n.expected_median(0).back(), middle, 1e-14);
  EXPECT_EQ(best_of_n.share_finished(0), 1.0);
  EXPECT_NEAR(best_of_n.share_finished(1), 3.0 / 7, 1e-15);  // of samples 7 … 13 the even ones
}

// C(2000, 1000) is far beyond a double; the weights are none the less a distribution.
TEST(BestOfN, WeightsStaySoundForManySamples) {
  for (const int64_t n : {1, 2, 999, 1000, 1999, 2000}) {
    for (const int64_t j : {int64_t{1}, (n + 1) / 2, n}) {
      const std::vector<double> weights = order_statistic_weights(2000, n, j);
      double sum = 0;
      double mean_rank = 0;
      for (size_t i = 0; i < weights.size(); ++i) {
        ASSERT_GE(weights[i], 0.0);
        sum += weights[i];
        mean_rank += weights[i] * static_cast<double>(i + 1);
      }
      // ln 2000! = 13206, whose rounding is 1e-12 at most; the mean rank of the j-th of n out of K
      // is j (K + 1)/(n + 1).
      EXPECT_NEAR(sum, 1.0, 2e-11) << n << " " << j;
      const double expected = static_cast<double>(j) * 2001 / static_cast<double>(n + 1);
      EXPECT_NEAR(mean_rank, expected, 2e-11 * expected) << n << " " << j;
    }
  }
}

}  // namespace
}  // namespace cria
