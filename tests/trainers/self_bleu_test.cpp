#include "trainers/evaluation/self_bleu.h"

#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include "cria/core/error.h"

#include "support/places.h"

namespace cria {
namespace {

using nlohmann::json;

// Scores are at most 1: sums of four logarithms of at most 6 in magnitude, each rounded, and exp.
constexpr double kTolerance = 1e-14;

json fixture() {
  return json::parse(std::ifstream(testing::source_path("tests/golden/self_bleu.json")));
}

void expect_scores(const std::vector<double>& scores, const json& expected,
                   const std::string& name) {
  ASSERT_EQ(scores.size(), expected.size()) << name;
  for (size_t i = 0; i < scores.size(); ++i) {
    EXPECT_NEAR(scores[i], expected[i].get<double>(), kTolerance) << name << " " << i;
  }
}

TEST(SelfBleu, IsWhatNltkSays) {
  const json golden = fixture();
  ASSERT_GE(golden["words"].size(), 10u);
  for (const auto& [name, set] : golden["words"].items()) {
    const std::vector<std::string> texts = set["samples"];
    expect_scores(self_bleu(numbered_words(texts)), set["bleu"], name);
  }
  const std::vector<TokenList> ids = golden["ids"]["samples"];
  expect_scores(self_bleu(ids), golden["ids"]["bleu"], "ids");
}

EvaluatedAnswer answer(const std::string& prompt, const std::string& completion,
                       std::optional<double> temperature, const std::string& kind) {
  EvaluatedAnswer answer{.prompt = prompt,
                         .completion = completion,
                         .temperature = temperature,
                         .fields = json::object(),
                         .where = prompt + "/" + completion};
  if (!kind.empty()) answer.fields["kind"] = kind;
  return answer;
}

double mean_of(const json& numbers) {
  double sum = 0;
  for (const json& number : numbers) sum += number.get<double>();
  return sum / static_cast<double>(numbers.size());
}

// Two prompts at T = 1 and one at T = 0.5, their samples mixed, and a group of its own.
TEST(SelfBleu, AveragesPromptsByGroupAndTemperature) {
  const json sets = fixture()["words"];
  std::vector<EvaluatedAnswer> answers;
  const auto add = [&](const char* set, double temperature, const char* kind, size_t i) {
    const std::vector<std::string> texts = sets[set]["samples"];
    if (i < texts.size()) answers.push_back(answer(set, texts[i], temperature, kind));
  };
  for (size_t i = 0; i < 10; ++i) {
    add("sentences", 1.0, "factual", i);
    add("short", 1.0, "factual", i);
    add("clipped", 0.5, "factual", i);
    add("unicode", 1.0, "", i);
  }
  const std::vector<SelfBleuPoint> points = self_bleu_points(answers, BleuTokens::words, "kind");
  ASSERT_EQ(points.size(), 3u);
  const double sentences = mean_of(sets["sentences"]["bleu"]);
  const double shorts = mean_of(sets["short"]["bleu"]);
  EXPECT_EQ(points[0].group, "factual");
  EXPECT_EQ(points[0].temperature, 0.5);
  EXPECT_NEAR(points[0].self_bleu, mean_of(sets["clipped"]["bleu"]), kTolerance);
  EXPECT_EQ(points[0].standard_error, 0);
  EXPECT_EQ(points[1].temperature, 1.0);
  EXPECT_EQ(points[1].prompts, 2);
  EXPECT_EQ(points[1].samples, 14);
  EXPECT_NEAR(points[1].self_bleu, (sentences + shorts) / 2, kTolerance);
  // Of two values the standard deviation is their distance / sqrt 2.
  EXPECT_NEAR(points[1].standard_error, std::abs(sentences - shorts) / 2, kTolerance);
  EXPECT_EQ(points[2].group, "all");
  EXPECT_NEAR(points[2].self_bleu, mean_of(sets["unicode"]["bleu"]), kTolerance);

  const Plot drawn = plot(points);
  ASSERT_EQ(drawn.series.size(), 2u);
  EXPECT_EQ(drawn.series[0].points.size(), 2u);
}

// As sampled, but the eos that ends every finished answer does not make answers alike.
TEST(SelfBleu, OfIdsLeavesTheEosOut) {
  std::vector<EvaluatedAnswer> answers = {answer("p", "x", 1.0, ""), answer("p", "x", 1.0, "")};
  answers[0].ids = {5, 6, 2};
  answers[1].ids = {7, 8, 2};
  EXPECT_EQ(self_bleu_points(answers, BleuTokens::ids, "kind")[0].self_bleu, 0);
  answers[0].finished = answers[1].finished = false;
  EXPECT_GT(self_bleu_points(answers, BleuTokens::ids, "kind")[0].self_bleu, 0);
}

TEST(SelfBleu, RefusesWhatItCannotCompare) {
  const auto message = [](const std::vector<EvaluatedAnswer>& answers, BleuTokens tokens) {
    try {
      self_bleu_points(answers, tokens, "kind");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  const std::vector<EvaluatedAnswer> two = {answer("p", "x", 1.0, ""), answer("p", "y", 1.0, "")};
  EXPECT_EQ(message(two, BleuTokens::words), "no error");
  EXPECT_NE(message(two, BleuTokens::ids).find("p/x: has no completion_ids"), std::string::npos);
  EXPECT_NE(message({two[0], answer("p", "y", 0.5, "")}, BleuTokens::words).find("p/y: the only"),
            std::string::npos);
  EXPECT_NE(message({two[0], answer("p", "y", {}, "")}, BleuTokens::words).find("p/y: has no temp"),
            std::string::npos);
}

}  // namespace
}  // namespace cria
