#include "trainers/preference_evaluation.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "trainers/logistic.h"
#include "trainers/reward_loss.h"

namespace cria {
namespace {

TEST(Logistic, BothTails) {
  for (const double x : {-700.0, -3.0, 0.0, 1e-9, 2.5, 700.0}) {
    EXPECT_NEAR(sigmoid(x), std::exp(-softplus(-x)), 1e-15) << x;
    EXPECT_NEAR(softplus(x) - softplus(-x), x, 4e-16 * std::max(1.0, std::abs(x))) << x;
  }
  EXPECT_EQ(softplus(-700.0), std::exp(-700.0));  // not 0
  EXPECT_EQ(softplus(700.0), 700.0);
}

TEST(Margin, ByRatingByLineOrNone) {
  PreferencePair pair;
  for (const char* kind : {"none", "small", "large", "example"})
    EXPECT_EQ(margin_of(pair, kind), 0);
  pair.margin = 0.75f;
  const double small[] = {1, 2.0 / 3, 1.0 / 3, 0};  // table 27 of Llama 2
  const double large[] = {3, 2, 1, 0};
  for (size_t i = 0; i < 4; ++i) {
    pair.rating = static_cast<Rating>(i);
    EXPECT_EQ(margin_of(pair, "none"), 0);
    EXPECT_EQ(margin_of(pair, "small"), small[i]);
    EXPECT_EQ(margin_of(pair, "large"), large[i]);
    EXPECT_EQ(margin_of(pair, "example"), 0.75);
  }
}

class Evaluation : public ::testing::Test {
 protected:
  void add(double chosen, double rejected, std::optional<Rating> rating, Category category,
           const std::string& source) {
    pairs_.push_back(std::make_unique<PreferencePair>());
    pairs_.back()->rating = rating;
    pairs_.back()->category = category;
    pairs_.back()->source = source;
    judged_.push_back({pairs_.back().get(), chosen, rejected});
  }

  std::vector<std::unique_ptr<PreferencePair>> pairs_;
  std::vector<JudgedPair> judged_;
};

TEST_F(Evaluation, PartsAndCalibrationByHand) {
  add(2, 1, Rating::better, Category::helpful, "a");
  add(1, 2, Rating::better, Category::helpful, "b");
  add(0, 0, std::nullopt, Category::safety, "a");  // neither: not right
  add(5, 1, Rating::significantly_better, Category::helpful, "b");
  const PreferenceEvaluation evaluation = evaluate_preferences(judged_);

  const nlohmann::json parts = to_json(evaluation).at("parts");
  const auto expect = [&](const std::string& name, int pairs, double accuracy, double margin) {
    ASSERT_TRUE(parts.contains(name)) << name;
    EXPECT_EQ(parts[name]["pairs"], pairs) << name;
    EXPECT_DOUBLE_EQ(parts[name]["accuracy"], accuracy) << name;
    EXPECT_DOUBLE_EQ(parts[name]["margin"], margin) << name;
  };
  expect("all", 4, 0.5, 1.0);
  expect("significantly_better", 1, 1.0, 4.0);
  expect("better", 2, 0.5, 0.0);
  expect("unrated", 1, 0.0, 0.0);
  expect("helpful", 3, 2.0 / 3, 4.0 / 3);
  expect("safety", 1, 0.0, 0.0);
  expect("source a", 2, 0.5, 0.5);
  expect("source b", 2, 0.5, 1.5);
  EXPECT_EQ(parts.size(), 8u);
  EXPECT_EQ(evaluation.parts[0].name, "all");
  EXPECT_EQ(evaluation.parts[1].name, "significantly_better");

  // Confidences 0.5; 0.731 twice, one of them right; 0.982.
  const double one = sigmoid(1), four = sigmoid(4);
  EXPECT_EQ(evaluation.bins[0].pairs, 1);
  EXPECT_EQ(evaluation.bins[4].pairs, 2);
  EXPECT_DOUBLE_EQ(evaluation.bins[4].confidence, one);
  EXPECT_DOUBLE_EQ(evaluation.bins[4].accuracy, 0.5);
  EXPECT_EQ(evaluation.bins[9].pairs, 1);
  EXPECT_NEAR(evaluation.parts[0].calibration_error,
              (0.5 + 2 * std::abs(0.5 - one) + std::abs(1 - four)) / 4, 1e-15);
  EXPECT_EQ(figures_of(evaluation).size(), 1 + 2 * 7u);
}

TEST_F(Evaluation, ACalibratedModelHasNoError) {
  // 3 of 4 right with a confidence of 3/4 each.
  const double gap = std::log(3.0);
  for (int i = 0; i < 3; ++i) add(gap, 0, std::nullopt, Category::helpful, "a");
  add(0, gap, std::nullopt, Category::helpful, "a");
  EXPECT_NEAR(evaluate_preferences(judged_).parts[0].calibration_error, 0, 1e-15);
}

TEST_F(Evaluation, CertainPairsFallIntoTheLastBin) {
  add(1e6, -1e6, std::nullopt, Category::helpful, "a");
  EXPECT_EQ(evaluate_preferences(judged_).bins.back().pairs, 1);
}

}  // namespace
}  // namespace cria
