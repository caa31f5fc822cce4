// The mathematics of PPO: against PyTorch (tests/golden/ppo), and what must hold whatever the
// numbers.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include <gtest/gtest.h>

#include "support/places.h"
#include "trainers/ppo/advantages.h"
#include "trainers/ppo/credit.h"
#include "trainers/ppo/kl.h"
#include "trainers/ppo/losses.h"

namespace cria {
namespace {

nlohmann::json fixture() {
  std::ifstream file(testing::source_path("tests/golden/ppo/functions.json"));
  return nlohmann::json::parse(file);
}

std::vector<float> floats(const nlohmann::json& list) { return list.get<std::vector<float>>(); }

// Inputs and outputs are rounded to fp32, computed in double: a few units in the last place of the
// largest number that a sum is made of.
void expect_near(std::span<const float> found, const nlohmann::json& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    const double truth = expected[i];
    EXPECT_NEAR(static_cast<double>(found[i]), truth, 1e-6 * std::max(1.0, std::abs(truth))) << i;
  }
}

TEST(GoldenPpo, AdvantagesReturnsAndWhitening) {
  const nlohmann::json truth = fixture();
  const std::vector<float> rewards = floats(truth["rewards"]);
  const std::vector<float> values = floats(truth["values"]);
  std::vector<float> advantages(values.size());
  std::vector<float> returns(values.size());
  size_t begin = 0;
  for (const size_t length : truth["lengths"].get<std::vector<size_t>>()) {
    estimate_advantages({.advantages = std::span(advantages).subspan(begin, length),
                         .returns = std::span(returns).subspan(begin, length)},
                        std::span(rewards).subspan(begin, length),
                        std::span(values).subspan(begin, length),
                        {.gamma = truth["gamma"], .lam = truth["lam"]});
    begin += length;
  }
  expect_near(advantages, truth["advantages"]);
  expect_near(returns, truth["returns"]);
  whiten(advantages);
  expect_near(advantages, truth["whitened_advantages"]);
  std::vector<float> whitened = rewards;
  whiten(whitened, /*centre=*/false);
  expect_near(whitened, truth["whitened_rewards"]);
}

TEST(GoldenPpo, PolicyLoss) {
  const nlohmann::json truth = fixture();
  const std::vector<float> logprobs = floats(truth["logprobs"]);
  const auto count = static_cast<double>(logprobs.size());
  const PolicyLossSums sums = policy_loss(logprobs, floats(truth["old_logprobs"]),
                                          floats(truth["whitened_advantages"]), truth["cliprange"]);
  EXPECT_NEAR(sums.loss / count, truth["policy"]["loss"].get<double>(), 1e-6);
  EXPECT_NEAR(sums.clipped / count, truth["policy"]["clipped"].get<double>(), 1e-12);
  EXPECT_NEAR(sums.approx_kl / count, truth["policy"]["approx_kl"].get<double>(), 1e-6);
  EXPECT_NEAR(sums.ratio / count, truth["policy"]["ratio"].get<double>(), 1e-6);
}

TEST(GoldenPpo, ValueLossAndItsGradient) {
  const nlohmann::json truth = fixture();
  const std::vector<float> values = floats(truth["new_values"]);
  std::vector<float> gradients(values.size());
  const auto count = static_cast<double>(values.size());
  const ValueLossSums sums =
      value_loss(gradients, values, floats(truth["values"]), floats(truth["returns"]),
                 {.cliprange = truth["cliprange_value"], .vf_coef = truth["vf_coef"]}, count);
  expect_near(gradients, truth["value_gradients"]);
  EXPECT_NEAR(sums.loss / count, truth["value"]["loss"].get<double>(), 1e-6);
  EXPECT_NEAR(sums.clipped / count, truth["value"]["clipped"].get<double>(), 1e-12);
}

TEST(Kl, K3IsNeverNegativeAndBothVanishWherePoliciesAgree) {
  double sum_k1 = 0;
  for (int i = -4000; i <= 4000; ++i) {
    const double d = i * 1e-3;
    const double logprob = static_cast<double>(static_cast<float>(-5 + d));
    EXPECT_GE(kl_of(KlEstimator::k3, logprob, -5.0), 0.0) << d;
    sum_k1 += kl_of(KlEstimator::k1, logprob, -5.0);
  }
  EXPECT_LT(std::abs(sum_k1), 1e-3);  // of either sign
  EXPECT_EQ(kl_of(KlEstimator::k1, -3.25, -3.25), 0.0);
  EXPECT_EQ(kl_of(KlEstimator::k3, -3.25, -3.25), 0.0);
  // Where exp(-d) - 1 loses everything: d^2 / 2 is left.
  EXPECT_NEAR(kl_of(KlEstimator::k3, 1e-7, 0.0), 0.5e-14, 1e-19);
}

TEST(Kl, BothEstimateTheDivergence) {
  // Exact means over a distribution of three tokens.
  const double p[] = {0.5, 0.3, 0.2};
  const double q[] = {0.2, 0.2, 0.6};
  double k1 = 0;
  double k3 = 0;
  double divergence = 0;
  for (int i = 0; i < 3; ++i) {
    k1 += p[i] * kl_of(KlEstimator::k1, std::log(p[i]), std::log(q[i]));
    k3 += p[i] * kl_of(KlEstimator::k3, std::log(p[i]), std::log(q[i]));
    divergence += p[i] * std::log(p[i] / q[i]);
  }
  EXPECT_NEAR(k1, divergence, 1e-12);
  EXPECT_NEAR(k3, divergence, 1e-12);
}

TEST(KlCoefficient, FollowsItsTarget) {
  KlCoefficient fixed(0.01, {}, 1000);
  fixed.adapt(100, 500);
  EXPECT_EQ(fixed.value(), 0.01);
  KlCoefficient adaptive(0.1, 6.0, 1000);
  adaptive.adapt(6.6, 100);  // a tenth above the target
  EXPECT_NEAR(adaptive.value(), 0.1 * (1 + 0.1 * 0.1), 1e-15);
  adaptive.restore(0.1);
  adaptive.adapt(60, 100);  // clipped
  EXPECT_NEAR(adaptive.value(), 0.1 * (1 + 0.2 * 0.1), 1e-15);
  adaptive.restore(0.1);
  adaptive.adapt(-1, 100);
  EXPECT_NEAR(adaptive.value(), 0.1 * (1 - 0.2 * 0.1), 1e-15);
}

TEST(NegativeKl, WarnsOnceWhenItLasts) {
  NegativeKlWatch watch;
  int warnings = 0;
  const auto see = [&](double k1, int times) {
    for (int i = 0; i < times; ++i) warnings += watch.warns(k1) ? 1 : 0;
  };
  see(-0.1, NegativeKlWatch::kLasting - 1);
  see(0.1, 1);
  see(0.0, 20);
  see(-0.1, NegativeKlWatch::kLasting - 1);
  EXPECT_EQ(warnings, 0);
  see(-0.1, 1);
  EXPECT_EQ(warnings, 1);
  see(-0.1, 30);
  EXPECT_EQ(warnings, 1);
}

// Three answers: one finished, one cut off, one that is an eos alone.
class Credit : public ::testing::Test {
 protected:
  Credit() {
    prompt_.ids = {1, 5, 6};
    std::vector<Rollout> rollouts = {
        {.prompt = &prompt_, .answer = {7, 8, 9, 2}, .finished_by_eos = true},
        {.prompt = &prompt_, .answer = {7, 8, 9}, .finished_by_eos = false},
        {.prompt = &prompt_, .answer = {2}, .finished_by_eos = true}};
    const float scores[] = {3.0f, -1.0f, 0.5f};
    for (size_t i = 0; i < rollouts.size(); ++i) rollouts[i].score.combined = scores[i];
    batch_ = std::make_unique<RolloutBatch>(std::move(rollouts));
    for (size_t t = 0; t < batch_->token_count(); ++t) {
      batch_->logprobs[t] = -1.0f - 0.25f * static_cast<float>(t);
      batch_->reference_logprobs[t] = -1.5f - 0.125f * static_cast<float>(t);
      batch_->values[t] = 0.1f * static_cast<float>(t);
    }
  }

  Prompt prompt_;
  std::unique_ptr<RolloutBatch> batch_;
  PpoConfig config_;
};

TEST_F(Credit, RewardsAreWhitenedScoresLessThePenaltyOfAMissingEos) {
  set_rewards(batch_->rollouts, config_);
  std::vector<float> rewards;
  for (const Rollout& rollout : batch_->rollouts) rewards.push_back(rollout.reward);
  EXPECT_NEAR(moments(rewards).mean, 0, 1e-7);
  EXPECT_NEAR(moments(rewards).variance, 1, 1e-6);
  EXPECT_GT(rewards[0], rewards[2]);
  EXPECT_GT(rewards[2], rewards[1]);

  config_.ppo.missing_eos_penalty = 2.0;
  set_rewards(batch_->rollouts, config_);
  EXPECT_EQ(batch_->rollouts[0].reward, rewards[0]);
  EXPECT_EQ(batch_->rollouts[1].reward, rewards[1] - 2.0f);
  EXPECT_EQ(batch_->rollouts[2].reward, rewards[2]);

  config_.ppo.whiten_scores = false;
  set_rewards(batch_->rollouts, config_);
  EXPECT_EQ(batch_->rollouts[0].reward, 3.0f);
  EXPECT_EQ(batch_->rollouts[1].reward, -3.0f);
}

// Without discounted future, a return is the token's own reward.
TEST_F(Credit, TheScoreLandsOnTheLastTokenOfAnAnswer) {
  config_.ppo.gamma = 0;
  config_.ppo.lam = 0;
  config_.ppo.whiten_scores = false;
  config_.ppo.missing_eos_penalty = 0.5;
  set_rewards(batch_->rollouts, config_);
  assign_credit(*batch_, config_, 0.1);
  for (size_t i = 0; i < 3; ++i) {
    for (size_t t = batch_->token_offsets[i]; t < batch_->token_offsets[i + 1]; ++t) {
      const double kl = static_cast<double>(batch_->logprobs[t] - batch_->reference_logprobs[t]);
      const bool is_last = t + 1 == batch_->token_offsets[i + 1];
      const double score =
          static_cast<double>(batch_->rollouts[i].score.combined) - (i == 1 ? 0.5 : 0.0);
      EXPECT_NEAR(static_cast<double>(batch_->returns[t]), -0.1 * kl + (is_last ? score : 0), 1e-6)
          << t;
    }
  }
}

// With gamma = lambda = 1 the first return is all that the answer gets: R~ - beta KL.
TEST_F(Credit, TheLoggedKlIsTheOneThatIsTrainedOn) {
  for (const char* estimator : {"k1", "k3"}) {
    config_.ppo.lam = 1;
    config_.ppo.kl_estimator = estimator;
    set_rewards(batch_->rollouts, config_);
    const CreditFigures figures = assign_credit(*batch_, config_, 0.1);
    double taken = 0;
    for (size_t i = 0; i < 3; ++i) {
      taken += static_cast<double>(batch_->rollouts[i].reward) -
               static_cast<double>(batch_->returns[batch_->token_offsets[i]]);
    }
    EXPECT_NEAR(0.1 * figures.kl, taken / 3, 1e-6) << estimator;
    EXPECT_NEAR(figures.non_score_reward, -taken / 3, 1e-6) << estimator;
    EXPECT_EQ(figures.kl, std::string(estimator) == "k1" ? figures.k1 : figures.k3);
    EXPECT_GE(figures.k3, 0);
  }
}

TEST_F(Credit, AdvantagesAreWhitenedOverAllTokensAndReturnsAreNot) {
  set_rewards(batch_->rollouts, config_);
  assign_credit(*batch_, config_, 0.1);
  EXPECT_NEAR(moments(batch_->advantages).mean, 0, 1e-6);
  EXPECT_NEAR(moments(batch_->advantages).variance, 1, 1e-6);
  // An eos alone: nothing follows it, so its return is its own reward.
  const size_t t = batch_->token_offsets[2];
  const double kl = static_cast<double>(batch_->logprobs[t] - batch_->reference_logprobs[t]);
  EXPECT_NEAR(static_cast<double>(batch_->returns[t]),
              static_cast<double>(batch_->rollouts[2].reward) - 0.1 * kl, 1e-6);
}

TEST(Whitening, OfOneValueOrEqualOnesIsFinite) {
  std::vector<float> one = {3.0f};
  whiten(one);
  EXPECT_EQ(one[0], 0.0f);
  std::vector<float> equal(5, 2.0f);
  whiten(equal);
  EXPECT_EQ(equal[3], 0.0f);
}

TEST(ExplainedVariance, IsOneForPerfectValuesAndZeroForConstantOnes) {
  const std::vector<float> returns = {1, 2, 3, 4};
  EXPECT_NEAR(explained_variance(returns, returns), 1, 1e-12);
  EXPECT_NEAR(explained_variance(returns, std::vector<float>{2, 2, 2, 2}), 0, 1e-12);
  EXPECT_EQ(explained_variance(std::vector<float>{1, 1}, std::vector<float>{0, 5}), 0);
}

}  // namespace
}  // namespace cria
