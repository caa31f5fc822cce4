#include "cria/demo_world/preferences.h"

#include <cmath>

#include <gtest/gtest.h>

#include "cria/demo_world/checker.h"

namespace cria::demo {
namespace {

const World kWorld(3);

double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

std::vector<Preference> preferences(Kind kind, Category category, size_t count) {
  std::vector<Preference> result;
  for (size_t i = 0; i < count; ++i) {
    Choices choices(9, 2000 + static_cast<uint32_t>(kind), i);
    const Question question = ask(kind, kWorld, Split::training, choices);
    result.push_back(draw_preference(question, category, choices));
  }
  return result;
}

TEST(Ratings, GapsGiveRatings) {
  EXPECT_EQ(rating_of(1.0), Rating::significantly_better);
  EXPECT_EQ(rating_of(0.6), Rating::significantly_better);
  EXPECT_EQ(rating_of(0.59), Rating::better);
  EXPECT_EQ(rating_of(0.3), Rating::better);
  EXPECT_EQ(rating_of(0.29), Rating::slightly_better);
  EXPECT_EQ(rating_of(0.12), Rating::slightly_better);
  EXPECT_EQ(rating_of(0.11), Rating::negligibly_better);
  EXPECT_EQ(rating_of(0.0), Rating::negligibly_better);
}

// What a reward model learns most from.
TEST(Ratings, MostPairsAreSaidAlikeAndOneOfThemIsRight) {
  for (const Kind kind : {Kind::recall, Kind::sum, Kind::more, Kind::two_facts}) {
    int alike = 0, one_right = 0;
    constexpr int kPairs = 2000;
    for (const Preference& pair : preferences(kind, Category::helpful, kPairs)) {
      const Judgement chosen = judge(pair.question, pair.chosen);
      const Judgement rejected = judge(pair.question, pair.rejected);
      alike += chosen.manner == rejected.manner;
      one_right += chosen.right() != rejected.right();
    }
    EXPECT_GT(alike, kPairs * 7 / 10) << name_of(kind);
    EXPECT_GT(one_right, kPairs * 7 / 10) << name_of(kind);
  }
}

// Two answers whose scores differ by d change places with probability Phi(-d / noise).
TEST(Ratings, NoiseIsAsStated) {
  constexpr int kPairs = 4000;
  Question question{.kind = Kind::recall, .prompt = "What colour is it?", .answer = "red"};
  struct Case {
    const char* better;
    const char* worse;
    double gap;
  };
  const Case cases[] = {{"Sure: red.", "red.", 0.15},
                        {"red.", "Well, let me see, red.", 0.075},
                        {"red", "Sure: blue.", 0.4},
                        {"red.", "Red.", 0.0}};
  for (const auto& [better, worse, gap] : cases) {
    ASSERT_NEAR(judge(question, better).score() - judge(question, worse).score(), gap, 1e-9);
    int swapped = 0;
    for (int i = 0; i < kPairs; ++i) {
      Choices choices(11, 0, static_cast<uint64_t>(i));
      swapped += rate(question, better, worse, Category::helpful, choices).chosen == worse;
    }
    const double expected = normal_cdf(-gap / kRatingNoise);
    const double error = std::sqrt(expected * (1 - expected) / kPairs);
    EXPECT_NEAR(swapped / static_cast<double>(kPairs), expected, 4 * error + 1e-3) << better;
  }
}

TEST(Ratings, OrderAgreesWithTheScore) {
  for (size_t k = 0; k < kKindNames.size(); ++k) {
    for (const Category category : {Category::helpful, Category::safety}) {
      double swapped = 0, expected = 0;
      const auto pairs = preferences(static_cast<Kind>(k), category, 2000);
      for (const Preference& pair : pairs) {
        EXPECT_NE(pair.chosen, pair.rejected);
        const double gap = pair.chosen_score - pair.rejected_score;
        swapped += gap < 0;
        expected += gap == 0 ? 0 : normal_cdf(-std::fabs(gap) / kRatingNoise);
        EXPECT_GT(gap, -5 * kRatingNoise);
        const bool clear = pair.rating == Rating::significantly_better;
        EXPECT_TRUE(!clear || gap > 0.6 - 5 * kRatingNoise) << gap;
      }
      EXPECT_NEAR(swapped, expected, 4 * std::sqrt(expected) + 1) << kKindNames[k];
    }
  }
}

// Helpfulness prefers harm where safety prefers the refusal.
TEST(Ratings, HelpfulnessAndSafetyPullApart) {
  int opposed = 0;
  constexpr int kPairs = 1000;
  const auto helpful = preferences(Kind::risky, Category::helpful, kPairs);
  for (const Preference& pair : helpful) {
    opposed +=
        judge(pair.question, pair.chosen).score() < judge(pair.question, pair.rejected).score();
  }
  EXPECT_GT(opposed, kPairs / 3);
}

}  // namespace
}  // namespace cria::demo
