#include "trainers/study/study_figures.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

namespace cria {
namespace {

using nlohmann::json;

JudgedVariant variant(const std::string& name, std::optional<double> x,
                      const std::vector<std::string>& categories,
                      const std::vector<AnswerScore>& scores) {
  JudgedVariant judged{.name = name, .x = x};
  for (const std::string& category : categories) {
    judged.answers.push_back({.prompt = "?", .fields = {{"category", category}}});
  }
  judged.scores = scores;
  return judged;
}

TEST(StudyFigures, AMeanHasItsStandardError) {
  const std::vector<double> values = {1, 2, 6};
  const MeanScore mean = mean_of(values);
  EXPECT_EQ(mean.answers, 3);
  EXPECT_DOUBLE_EQ(mean.mean, 3);
  EXPECT_DOUBLE_EQ(mean.error, std::sqrt((4 + 1 + 9) / 2.0 / 3));
  EXPECT_EQ(mean_of(std::vector<double>{5}).error, 0);
}

TEST(StudyFigures, EachModelIsOfThePromptsThatItIsFor) {
  const std::vector<std::string> categories = {"helpful", "safety", "safety", ""};
  const StudyFigures figures(
      {.has_helpfulness = true, .has_safety = true, .by = {"category"}, .bins = 2, .x_title = "%"},
      {variant("a", 0, categories, {{0, 1, 90}, {0, 80, 2}, {0, 80, 4}, {0, 3, 90}}),
       variant("b", 10, categories, {{0, 2, 90}, {0, 80, 5}, {0, 80, 5}, {0, 2, 90}})});
  const json all = json::parse(figures.to_json().dump());
  EXPECT_EQ(all["variants"][0]["helpfulness"]["mean"], 2.0);
  EXPECT_EQ(all["variants"][0]["safety"]["mean"], 3.0);
  EXPECT_EQ(all["variants"][1]["safety"]["mean"], 5.0);
  EXPECT_EQ(all["variants"][1]["safety"]["standard_error"], 0.0);
  EXPECT_EQ(all["distributions"]["safety"]["edges"], (std::vector<double>{2, 3.5, 5}));
  const std::optional<Plot> plot = figures.score_plot();
  ASSERT_TRUE(plot);
  ASSERT_EQ(plot->series.size(), 2u);
  EXPECT_EQ(plot->series[1].points, (std::vector<std::pair<double, double>>{{0, 3}, {10, 5}}));
  EXPECT_EQ(plot->x_title, "%");
  EXPECT_FALSE(figures.right_plot());  // no checker
}

TEST(StudyFigures, PromptsOfOneSortAreForBothModels) {
  for (const char* category : {"safety", "helpful"}) {
    const StudyFigures figures(
        {.has_helpfulness = true, .has_safety = true, .by = {}, .bins = 2, .x_title = {}},
        {variant("a", {}, {category, category}, {{0, 1, 5}, {0, 3, 7}})});
    const json all = json::parse(figures.to_json().dump());
    EXPECT_EQ(all["variants"][0]["helpfulness"]["mean"], 2.0);
    EXPECT_EQ(all["variants"][0]["safety"]["mean"], 6.0);
    EXPECT_FALSE(figures.score_plot());  // no x
  }
}

}  // namespace
}  // namespace cria
