#include "trainers/report/right_answers.h"

#include <algorithm>
#include <cmath>

#include "cria/demo_world/question.h"

#include "trainers/report/sections.h"
#include "trainers/report/stages.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

std::vector<std::string> kinds_of(const StageSet& set) {
  std::vector<std::string> kinds;
  for (const StageAnswers& stage : set.stages) {
    for (const RightAnswers& right : stage.kinds) {
      if (std::find(kinds.begin(), kinds.end(), right.kind) == kinds.end() && right.kind != "all") {
        kinds.push_back(right.kind);
      }
    }
  }
  // As the demo world names them, the others after.
  const auto place = [](const std::string& kind) {
    return std::find(demo::kKindNames.begin(), demo::kKindNames.end(), kind);
  };
  std::stable_sort(kinds.begin(), kinds.end(),
                   [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
  kinds.push_back("all");
  return kinds;
}

const RightAnswers* find_kind(const StageAnswers& stage, const std::string& kind) {
  for (const RightAnswers& right : stage.kinds) {
    if (right.kind == kind) return &right;
  }
  return nullptr;
}

Plot plot_of(const StageSet& set) {
  Plot plot{.title = title_of("Right answers", set.title),
            .x_title = "answered right (%)",
            .y_title = "",
            .series = {},
            .row_names = kinds_of(set),
            .x_range = {{0, 100}}};
  for (const StageAnswers& stage : set.stages) {
    PlotSeries series{.label = stage.stage,
                      .points = {},
                      .colour = static_cast<int>(plot.series.size()),
                      .joined = false};
    for (size_t row = 0; row < plot.row_names.size(); ++row) {
      const RightAnswers* right = find_kind(stage, plot.row_names[row]);
      if (right == nullptr) continue;
      series.points.emplace_back(100 * right->share, static_cast<double>(row));
      series.intervals.push_back(interval_of_share(right->share, right->answers));
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

}  // namespace

std::vector<StageSet> right_answers(const RunFiles& files) {
  std::vector<StageSet> sets;
  for (const auto& [variant, members] : by_variant(files.of(FigureKind::demo_answers))) {
    StageSet set{.title = variant_title(variant), .stages = {}};
    for (const FigureFile* file : members) {
      StageAnswers stage{.stage = stage_name(file->place).stage, .kinds = {}};
      read_figures(*file, [&](const ordered_json& figures) {
        const auto add = [&](const std::string& kind, const ordered_json& of) {
          stage.kinds.push_back({.kind = kind,
                                 .share = of.at("right").get<double>(),
                                 .answers = of.at("answers").get<double>()});
        };
        for (const auto& [kind, of] : figures.at("kinds").items()) add(kind, of);
        add("all", figures.at("all"));
      });
      set.stages.push_back(std::move(stage));
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

Table right_answer_table(const StageSet& set) {
  Table table{.header = {"right, %"}, .rows = {}};
  for (const StageAnswers& stage : set.stages) table.header.push_back(stage.stage);
  for (const std::string& kind : kinds_of(set)) {
    table.rows.push_back({kind});
    for (const StageAnswers& stage : set.stages) {
      const RightAnswers* right = find_kind(stage, kind);
      if (right == nullptr) {
        table.rows.back().push_back("-");
        continue;
      }
      const double error = std::sqrt(right->share * (1 - right->share) / right->answers);
      table.rows.back().push_back(fmt::format("{:.1f} ± {:.1f}", 100 * right->share, 100 * error));
    }
  }
  return table;
}

Section right_answer_section(const RunFiles& files) {
  Section section("right-answers", "Right answers");
  const std::vector<StageSet> sets = right_answers(files);
  if (sets.empty()) return section;
  section.paragraph(
      "Held-out questions about the demo world, where a program knows what is right. A point is a "
      "stage's share of right answers to one kind of question.");
  for (const StageSet& set : sets) {
    section.figure(plot_of(set),
                   "Bars are 95% intervals: where those of two stages are far apart, the stages "
                   "differ.");
  }
  for (const StageSet& set : sets) {
    section.table(right_answer_table(set),
                  title_of("Answered right, in percent, with the standard error", set.title));
  }
  return section;
}

}  // namespace cria
