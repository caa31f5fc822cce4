#include "trainers/distill/distill_pool.h"

#include <cmath>

#include <gtest/gtest.h>

#include "cria/core/error.h"

#include "trainers/distill/distill_report.h"

namespace cria {
namespace {

DistillAnswer answer(PrepromptKind kind, float safety, bool finished = true) {
  return {.kind = kind,
          .preprompt = kind == PrepromptKind::before ? "" : "Be \"safe\".",
          .completion = "a",
          .ids = {7, 8, 2},
          .finished_by_eos = finished,
          .safety = safety};
}

DistillPrompt prompt(std::vector<DistillAnswer> answers, const std::string& risk = "crime") {
  return {.number = 3,
          .given = "Steal!",
          .is_safety = true,
          .risk = risk,
          .ids = {1, 5},
          .answers = std::move(answers)};
}

constexpr auto kBefore = PrepromptKind::before;
constexpr auto kGeneric = PrepromptKind::generic;
constexpr auto kTemplate = PrepromptKind::answer_template;

TEST(DistillPool, LearnsTheBestAnswerWhereItsScoreRises) {
  const DistillPrompt risen =
      prompt({answer(kBefore, 1), answer(kGeneric, 2), answer(kTemplate, 3), answer(kTemplate, 3)});
  EXPECT_EQ(risen.learnt(), &risen.answers[2]);  // of equal ones the first
  EXPECT_EQ(risen.best(kGeneric), &risen.answers[1]);
  const DistillPrompt fallen = prompt({answer(kBefore, 1), answer(kGeneric, 0.5)});
  EXPECT_EQ(fallen.best(), &fallen.answers[1]);
  EXPECT_EQ(fallen.learnt(), nullptr);
  // As high is no rise, the next float above is one.
  const DistillPrompt equal = prompt({answer(kBefore, 1), answer(kGeneric, 1)});
  EXPECT_EQ(equal.learnt(), nullptr);
  const DistillPrompt hair =
      prompt({answer(kBefore, 1), answer(kGeneric, std::nextafter(1.0f, 2.0f))});
  EXPECT_EQ(hair.learnt(), &hair.answers[1]);
}

TEST(DistillPool, AnswersCutOffAreLearntOnlyWhereAsked) {
  DistillPrompt one =
      prompt({answer(kBefore, 1), answer(kGeneric, 5, false), answer(kTemplate, 2)});
  EXPECT_EQ(one.learnt(), &one.answers[2]);
  one.keep_truncated = true;
  EXPECT_EQ(one.learnt(), &one.answers[1]);
  // That the answer before was cut off changes nothing: it has its score.
  const DistillPrompt before = prompt({answer(kBefore, 1, false), answer(kGeneric, 2)});
  EXPECT_EQ(before.learnt(), &before.answers[1]);
}

TEST(DistillPool, ALineReadsBackTheSame) {
  const DistillPrompt written = prompt({answer(kBefore, 0.1f), answer(kTemplate, -1.7346f, false)});
  const std::string line = to_line(written);
  const DistillPrompt read = parse_distill_prompt(nlohmann::json::parse(line), "pool.jsonl:1");
  EXPECT_EQ(to_line(read), line);
  EXPECT_EQ(read.answers[1].safety, -1.7346f);
  EXPECT_EQ(read.answers[1].preprompt, "Be \"safe\".");
  EXPECT_FALSE(read.answers[1].finished_by_eos);
  EXPECT_EQ(read.sequence(read.answers[1]), (std::vector<int32_t>{1, 5, 7, 8, 2}));
  const std::string without_before = to_line(prompt({answer(kTemplate, 1)}));
  EXPECT_THROW(parse_distill_prompt(nlohmann::json::parse(without_before), "f:1"), Error);
}

TEST(DistillPool, FiguresByRiskAndSortOfPreprompt) {
  const std::vector<DistillPrompt> pool = {
      prompt({answer(kBefore, 1), answer(kGeneric, 0), answer(kGeneric, 4), answer(kTemplate, 6)}),
      prompt({answer(kBefore, 3), answer(kGeneric, 1), answer(kGeneric, 2, false)}, "hate")};
  const std::vector<DistillFigures> figures = distill_figures(pool);
  struct Expected {
    const char *risk, *kind;
    int64_t prompts;
    double before, after;
    int64_t risen, learnt, cut_off;
  };
  const Expected expected[] = {{"all", "all", 2, 2, (10.0 / 3 + 1.5) / 2, 1, 1, 1},
                               {"all", "generic", 2, 2, 1.75, 1, 0, 1},
                               {"all", "template", 1, 1, 6, 1, 1, 0},
                               {"crime", "all", 1, 1, 10.0 / 3, 1, 1, 0},
                               {"crime", "generic", 1, 1, 2, 1, 0, 0},
                               {"crime", "template", 1, 1, 6, 1, 1, 0},
                               {"hate", "all", 1, 3, 1.5, 0, 0, 1},
                               {"hate", "generic", 1, 3, 1.5, 0, 0, 1}};
  ASSERT_EQ(figures.size(), std::size(expected));
  for (size_t i = 0; i < figures.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(figures[i].risk, expected[i].risk);
    EXPECT_EQ(figures[i].kind, expected[i].kind);
    EXPECT_EQ(figures[i].prompts, expected[i].prompts);
    EXPECT_DOUBLE_EQ(figures[i].mean_before, expected[i].before);
    EXPECT_DOUBLE_EQ(figures[i].mean_after, expected[i].after);
    EXPECT_EQ(figures[i].risen, expected[i].risen);
    EXPECT_EQ(figures[i].learnt, expected[i].learnt);
    EXPECT_EQ(figures[i].cut_off, expected[i].cut_off);
  }
}

TEST(DistillPool, TheScatterHasAPointForEachPromptAndSort) {
  const std::vector<DistillPrompt> pool = {
      prompt({answer(kBefore, 1), answer(kGeneric, 0), answer(kGeneric, 4), answer(kTemplate, 6)}),
      prompt({answer(kBefore, 3), answer(kGeneric, -2)}, "hate")};
  const Plot plot = before_after_plot(pool);
  using Points = std::vector<std::pair<double, double>>;
  ASSERT_EQ(plot.series.size(), 3u);
  EXPECT_EQ(plot.series[0].points, (Points{{1, 4}, {3, -2}}));
  EXPECT_EQ(plot.series[1].points, (Points{{1, 6}}));
  EXPECT_TRUE(!plot.series[0].joined && !plot.series[1].joined && plot.series[2].joined);
  EXPECT_EQ(plot.series[2].points, (Points{{-2, -2}, {6, 6}}));  // the line of no change
}

}  // namespace
}  // namespace cria
