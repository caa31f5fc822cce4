#include "trainers/evaluation/win_rate.h"

#include <cmath>

#include <gtest/gtest.h>

#include "cria/core/error.h"

namespace cria {
namespace {

using nlohmann::json;

EvaluatedAnswer answer(const std::string& prompt, const std::string& completion,
                       const json& fields = json::object()) {
  return {.prompt = prompt,
          .completion = completion,
          .fields = fields,
          .where = prompt + "/" + completion};
}

// Says a where a's text is longer, b where b's is, and keeps what it was shown.
class LongerWins : public Judge {
 public:
  std::vector<Outcome> judge(std::span<const ShownPair> pairs) override {
    shown.assign(pairs.begin(), pairs.end());
    std::vector<Outcome> outcomes;
    for (const ShownPair& pair : pairs) {
      const size_t a = pair.a->completion.size(), b = pair.b->completion.size();
      outcomes.push_back(a == b ? Outcome::tie : a > b ? Outcome::win : Outcome::loss);
    }
    return outcomes;
  }
  nlohmann::ordered_json description() const override { return {}; }

  std::vector<ShownPair> shown;
};

// Whatever is shown first.
class FirstWins : public Judge {
 public:
  std::vector<Outcome> judge(std::span<const ShownPair> pairs) override {
    return std::vector<Outcome>(pairs.size(), Outcome::win);
  }
  nlohmann::ordered_json description() const override { return {}; }
};

// Newcombe 1998 ("Two-sided confidence intervals for the single proportion"), table I, method 3,
// which has four decimals.
TEST(WinRate, IntervalsAreThePublishedOnes) {
  const auto expect = [](int64_t successes, int64_t trials, double low, double high) {
    const Interval interval = wilson_interval(successes, trials);
    EXPECT_NEAR(interval.low, low, 5e-5) << successes << "/" << trials;
    EXPECT_NEAR(interval.high, high, 5e-5) << successes << "/" << trials;
  };
  expect(81, 263, 0.2553, 0.3662);
  expect(15, 148, 0.0624, 0.1605);
  expect(0, 20, 0.0, 0.1611);
  expect(1, 29, 0.0061, 0.1718);
}

// An end of the interval is the p0 whose score test gives z: (p - p0)^2 = z^2 p0 (1 - p0) / n.
TEST(WinRate, IntervalsEndWhereTheScoreTestDoes) {
  const double z = 1.959963984540054;
  for (const int64_t n : {1, 7, 40, 3000}) {
    for (const int64_t x : {int64_t{0}, n / 3, n}) {
      const double p = static_cast<double>(x) / static_cast<double>(n);
      const Interval interval = wilson_interval(x, n);
      for (const double end : {interval.low, interval.high}) {
        // Numbers of order 1 and less: some units in the last place.
        EXPECT_NEAR((p - end) * (p - end), z * z * end * (1 - end) / static_cast<double>(n), 1e-14)
            << x << "/" << n;
      }
      EXPECT_EQ(interval.low == 0, x == 0);
      EXPECT_EQ(interval.high == 1, x == n);
    }
  }
  EXPECT_EQ(wilson_interval(0, 0).low, 0.0);
  EXPECT_EQ(wilson_interval(0, 0).high, 1.0);
}

TEST(WinRate, CountsByPart) {
  const json safety = {{"category", "safety"}, {"kind", "risky"}};
  const json easy = {{"kind", 7}};
  const std::vector<EvaluatedAnswer> first = {answer("p", "long one", safety), answer("q", "s"),
                                              answer("r", "same", easy), answer("s", "abc", easy),
                                              answer("t", "long one", easy)};
  const std::vector<EvaluatedAnswer> second = {answer("p", "short"), answer("q", "longer"),
                                               answer("r", "same"), answer("s", "xyz"),
                                               answer("t", "short")};
  LongerWins judge;
  const WinRates rates = judge_pairs(pair_answers(first, second), judge, 1, {"category", "kind"});
  EXPECT_EQ(judge.shown.size(), 4u) << "equal texts are no question";
  EXPECT_EQ(rates.same, 1);
  const auto figures = to_json(rates);
  const auto expect = [&](const char* part, int wins, int losses, int ties) {
    ASSERT_TRUE(figures["parts"].contains(part)) << figures;
    EXPECT_EQ(figures["parts"][part]["wins"], wins) << part;
    EXPECT_EQ(figures["parts"][part]["losses"], losses) << part;
    EXPECT_EQ(figures["parts"][part]["ties"], ties) << part;
  };
  EXPECT_EQ(figures["parts"].size(), 4u);
  expect("all", 2, 1, 2);
  expect("category safety", 1, 0, 0);
  expect("kind risky", 1, 0, 0);
  expect("kind 7", 1, 0, 2);
  EXPECT_EQ(figures["parts"]["all"]["win_rate"], 2.0 / 3);
  EXPECT_EQ(figures["parts"]["all"]["interval"][0], wilson_interval(2, 3).low);
}

// A judge that goes by the place alone tells no model from the other.
TEST(WinRate, ShowsEitherAnswerFirst) {
  std::vector<EvaluatedAnswer> first, second;
  for (int i = 0; i < 1000; ++i) {
    first.push_back(answer("prompt " + std::to_string(i), "x"));
    second.push_back(answer("prompt " + std::to_string(i), "y"));
  }
  LongerWins looking;
  judge_pairs(pair_answers(first, second), looking, 1, {});
  FirstWins judge;
  const WinRates rates = judge_pairs(pair_answers(first, second), judge, 1, {});
  EXPECT_EQ(rates.parts[0].losses, rates.swapped);
  EXPECT_EQ(rates.parts[0].wins, 1000 - rates.swapped);
  EXPECT_EQ(rates.shown_first_won, 1000);
  EXPECT_NEAR(static_cast<double>(rates.swapped), 500, 80);  // five standard deviations
  for (size_t i = 0; i < looking.shown.size(); ++i) {
    const bool swapped = is_swapped(1, first[i].prompt, 0);
    EXPECT_EQ(looking.shown[i].a->completion, swapped ? "y" : "x");
    EXPECT_EQ(looking.shown[i].b->completion, swapped ? "x" : "y");
  }
}

// The order in which a pair is shown depends on its prompt and its place among the pairs of that
// prompt, not on what else there is.
TEST(WinRate, TheOrderBelongsToThePrompt) {
  const auto order = [](const std::vector<EvaluatedAnswer>& first, size_t i) {
    std::vector<EvaluatedAnswer> second = first;
    for (EvaluatedAnswer& other : second) other.completion = "y";
    LongerWins judge;
    judge_pairs(pair_answers(first, second), judge, 5, {});
    return judge.shown[i].a->completion;
  };
  int different = 0;
  for (int i = 0; i < 64; ++i) {
    const std::string prompt = std::to_string(i);
    const std::string alone = order({answer(prompt, "x")}, 0);
    EXPECT_EQ(order({answer("a", "x"), answer("b", "x"), answer(prompt, "x")}, 2), alone);
    different += order({answer(prompt, "x"), answer(prompt, "x")}, 1) != alone;
    different += is_swapped(5, prompt, 0) != is_swapped(6, prompt, 0);
  }
  EXPECT_NEAR(different, 64, 28);  // of 128 fair coins: five standard deviations
}

TEST(WinRate, AnswersToOtherPromptsAreRefused) {
  const std::vector<EvaluatedAnswer> first = {answer("p", "x"), answer("q", "x")};
  const auto message = [&](const std::vector<EvaluatedAnswer>& second) -> std::string {
    try {
      pair_answers(first, second);
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 2);
      return error.what();
    }
    return "no error";
  };
  EXPECT_NE(message({answer("p", "y"), answer("r", "y")})
                .find("r/y: answers another prompt than "
                      "q/x"),
            std::string::npos);
  EXPECT_NE(message({answer("p", "y")}).find("q/x: the other model has no answer"),
            std::string::npos);
}

class CommandJudgeTest : public ::testing::Test {
 protected:
  std::string failure_of(const std::string& command, int milliseconds = 0) {
    CommandJudge judge(command, std::chrono::milliseconds(milliseconds));
    try {
      judge.judge(pairs_);
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 1);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "no error";
  }

  std::vector<EvaluatedAnswer> first_ = {answer("p", "good", {{"kind", "sum"}, {"sample", 3}}),
                                         answer("q\nr", "bad"), answer("s", "good")};
  std::vector<EvaluatedAnswer> second_ = {answer("p", "bad"), answer("q\nr", "good"),
                                          answer("s", "good too")};
  std::vector<ShownPair> pairs_ = {
      {&first_[0], &second_[0]}, {&first_[1], &second_[1]}, {&first_[2], &second_[2]}};
};

TEST_F(CommandJudgeTest, ReadsALineForEachPair) {
  CommandJudge judge(
      R"(while read -r line; do case "$line" in)"
      R"( '{"a":"good","b":"bad","id":0,"kind":"sum","prompt":"p"}') echo a;;)"
      R"( '{"a":"bad","b":"good","id":1,"prompt":"q\nr"}') echo b;;)"
      R"( '{"a":"good","b":"good too","id":2,"prompt":"s"}') echo ' tie ';; esac; done)",
      {});
  const std::vector<Outcome> expected = {Outcome::win, Outcome::loss, Outcome::tie};
  EXPECT_EQ(judge.judge(pairs_), expected);
}

TEST_F(CommandJudgeTest, FailsInOneLine) {
  EXPECT_EQ(failure_of("exit 3"), "judge `exit 3`: exit code 3");
  EXPECT_NE(failure_of("no-such-judge 2>/dev/null").find("exit code 127"), std::string::npos);
  EXPECT_NE(failure_of("echo a; echo b").find("2 verdicts for 3 pairs"), std::string::npos);
  EXPECT_NE(failure_of("yes a | head -4").find("4 verdicts for 3 pairs"), std::string::npos);
  EXPECT_NE(failure_of("echo a; echo maybe").find("line 2: 'maybe' is no verdict; a, b or tie"),
            std::string::npos);
  EXPECT_NE(failure_of("sleep 60", 100).find("took longer than 0.1 s; raise --judge-timeout"),
            std::string::npos);
}

}  // namespace
}  // namespace cria
