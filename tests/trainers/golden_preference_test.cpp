// The losses of reward models and of DPO, their figures and their gradients, against PyTorch and
// TRL (tests/golden/preference_fixtures.py).
#include <cmath>

#include <gtest/gtest.h>

#include "trainers/dpo_loss.h"
#include "trainers/golden_preferences.h"
#include "trainers/reward_loss.h"

namespace cria::testing {

namespace {

// As of tests/model/golden_gradient_test.cpp: fp32 sums against double.
constexpr double kBound = 1.2e-5;

// Means of scores of order 1; of sums of some ten log-probabilities, whose error is their own
// size's; and of differences of those, where what matters of the error is beta times it.
void expect_figures(const Figures& found, const nlohmann::json& wanted) {
  for (const auto& [name, value] : wanted.items()) {
    const auto same = [&, key = name](const auto& figure) { return figure.first == key; };
    const auto figure = std::find_if(found.begin(), found.end(), same);
    ASSERT_NE(figure, found.end()) << name;
    const double truth = value;
    EXPECT_NEAR(figure->second, truth, 1e-5 * std::max(1.0, std::abs(truth))) << name;
  }
}

// All pairs in one pass, or a few at a time.
constexpr int64_t kPairTokens = 140;  // more than the longest pair has
constexpr int64_t kPasses[] = {GoldenLearner::kMaxTokens, kPairTokens};

RewardOptions reward_options(const nlohmann::json& settings) {
  return {.margin = settings.at("margin"),
          .center_rewards_coefficient = settings.value("center_rewards_coefficient", 0.0),
          .safety_loss_weight = settings.value("safety_loss_weight", 0.0)};
}

TEST(GoldenReward, LossFiguresAndGradients) {
  const nlohmann::json golden = golden_json("preferences/reward.json");
  const auto data = golden_pairs();
  GoldenLearner model("models/reward");
  for (const auto& [name, expected] : golden.at("cases").items()) {
    SCOPED_TRACE(name);
    RewardLoss loss(reward_options(expected.at("settings")), *data);
    model.backward(*data, expected.at("score_gradients"));
    const std::vector<NamedGradient> wanted = model.gradients();
    for (const int64_t max_tokens : kPasses) {
      SCOPED_TRACE(max_tokens);
      expect_figures(model.pass_over(loss, *data, PassKind::training, max_tokens),
                     expected.at("metrics"));
      expect_close(model.gradients(), wanted, kBound);
    }
  }
  RewardLoss all(reward_options(golden.at("cases").at("all").at("settings")), *data);
  model.pass_over(all, *data, PassKind::training, GoldenLearner::kMaxTokens);
  expect_close(model.gradients(), golden_gradients("reward_all"), kBound);
}

TEST(GoldenReward, EvaluationChangesNoGradient) {
  const auto data = golden_pairs();
  GoldenLearner model("models/reward");
  RewardLoss loss({.margin = "large"}, *data);
  const nlohmann::json expected = golden_json("preferences/reward.json").at("cases").at("large");
  expect_figures(model.pass_over(loss, *data, PassKind::evaluation, kPairTokens),
                 expected.at("metrics"));
  for (const NamedGradient& gradient : model.gradients()) {
    for (const float value : gradient.values) ASSERT_EQ(value, 0.0f) << gradient.name;
  }
}

DpoOptions dpo_options(const nlohmann::json& settings) {
  return {.beta = settings.at("beta"),
          .loss_type = settings.at("loss_type"),
          .label_smoothing = settings.value("label_smoothing", 0.0)};
}

std::vector<PairLogprobs> reference_of(const nlohmann::json& golden) {
  std::vector<PairLogprobs> pairs;
  const auto& logprobs = golden.at("reference_logprobs");
  for (size_t i = 0; i < logprobs[0].size(); ++i) pairs.push_back({logprobs[0][i], logprobs[1][i]});
  return pairs;
}

TEST(GoldenDpo, LossFiguresAndGradients) {
  const nlohmann::json golden = golden_json("preferences/dpo.json");
  const auto data = golden_pairs();
  GoldenLearner policy("models/gqa_tied");
  GoldenLearner reference("preferences/reference");
  for (const auto& [name, expected] : golden.at("cases").items()) {
    SCOPED_TRACE(name);
    const DpoOptions options = dpo_options(expected.at("settings"));
    policy.backward(*data, expected.at("logprob_gradients"));
    const std::vector<NamedGradient> wanted = policy.gradients();
    const DpoReference references[] = {reference_of(golden), &reference.learner().model};
    for (const DpoReference& known : references) {
      SCOPED_TRACE(known.index() == 0 ? "precomputed" : "on the fly");
      DpoLoss loss(options, *data, known);
      for (const int64_t max_tokens : kPasses) {
        SCOPED_TRACE(max_tokens);
        expect_figures(policy.pass_over(loss, *data, PassKind::training, max_tokens),
                       expected.at("metrics"));
        expect_close(policy.gradients(), wanted, kBound);
      }
    }
  }
  for (const std::string name : {"smoothed", "ipo"}) {
    DpoLoss loss(dpo_options(golden.at("cases").at(name).at("settings")), *data,
                 reference_of(golden));
    policy.pass_over(loss, *data, PassKind::training, GoldenLearner::kMaxTokens);
    expect_close(policy.gradients(), golden_gradients("dpo_" + name), kBound);
  }
}

TEST(Dpo, APolicyThatEqualsItsReferenceLosesLnTwoToTheBit) {
  const auto data = golden_pairs();
  GoldenLearner policy("models/gqa_tied");
  GoldenLearner reference("models/gqa_tied");
  DpoLoss loss({}, *data, &reference.learner().model);
  for (const int64_t max_tokens : kPasses) {
    for (const auto& [name, value] :
         policy.pass_over(loss, *data, PassKind::training, max_tokens)) {
      if (name.starts_with("logps/")) continue;
      EXPECT_EQ(value, name == "loss" ? std::log1p(1.0) : 0.0) << name;
    }
  }
}

}  // namespace

}  // namespace cria::testing
