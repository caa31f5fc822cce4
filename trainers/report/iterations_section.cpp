// V1 to Vn of `cria rlhf`: helpfulness against safety, and how far the reward models hold.
#include <cmath>

#include "trainers/report/sections.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

// NaN where it is not there or null.
double value_at(const ordered_json& figures, std::initializer_list<std::string> path) {
  const ordered_json* value = &figures;
  for (const std::string& name : path) {
    if (!value->is_object() || !value->contains(name)) return NAN;
    value = &(*value)[name];
  }
  return value->is_number() ? value->get<double>() : NAN;
}

// One run's report.json.
class Iterations {
 public:
  explicit Iterations(const ordered_json& report) {
    for (const ordered_json& iteration : report.at("iterations")) {
      names_.push_back(iteration.at("name").get<std::string>());
      figures_.push_back(iteration.at("figures"));
    }
    // The last iteration's evaluation has every model, the first that all began with.
    for (const auto& [model, figures] : figures_.back().at("held_out").items()) {
      models_.push_back(model);
    }
  }

  Plot helpfulness_against_safety() const {
    Plot plot{.title = "Helpfulness against safety",
              .x_title = "helpfulness (mean raw score)",
              .y_title = "safety (mean raw score)",
              .series = {{.label = "by the last reward models", .points = {}}}};
    PlotSeries& series = plot.series.back();
    for (const std::string& model : models_) {
      series.points.emplace_back(value_at(figures_.back(), {"held_out", model, "helpfulness"}),
                                 value_at(figures_.back(), {"held_out", model, "safety"}));
      series.point_names.push_back(model);
    }
    return plot;
  }

  Plot rewards() const {
    Plot plot{.title = "Rewards of held-out prompts",
              .x_title = "iteration",
              .y_title = "mean reward (raw score)",
              .series = {}};
    int colour = 0;
    for (const char* reward : {"helpfulness", "safety"}) {
      PlotSeries fixed{
          .label = fmt::format("{}, last reward model", reward), .points = {}, .colour = colour};
      PlotSeries own{.label = fmt::format("{}, the iteration's own", reward),
                     .points = {},
                     .colour = colour++,
                     .dashed = true};
      for (size_t m = 0; m < models_.size(); ++m) {
        fixed.points.emplace_back(m, value_at(figures_.back(), {"held_out", models_[m], reward}));
      }
      for (size_t i = 0; i < names_.size(); ++i) {
        own.points.emplace_back(i + 1, value_at(figures_[i], {"held_out", names_[i], reward}));
      }
      plot.series.push_back(std::move(fixed));
      plot.series.push_back(std::move(own));
    }
    return plot;
  }

  // Of each category's new pairs before the reward model has learnt from them (dashed), and after.
  Plot of_new_pairs(const std::string& title, const std::string& y_title, const std::string& figure,
                    double scale) const {
    Plot plot{.title = title, .x_title = "iteration", .y_title = y_title, .series = {}};
    int colour = 0;
    for (const char* category : {"helpful", "safety"}) {
      PlotSeries after{.label = fmt::format("{}, after", category), .points = {}, .colour = colour};
      PlotSeries before{.label = fmt::format("{}, before", category),
                        .points = {},
                        .colour = colour++,
                        .dashed = true};
      for (size_t i = 0; i < names_.size(); ++i) {
        after.points.emplace_back(i + 1,
                                  scale * value_at(figures_[i], {"new_pairs", category, figure}));
        before.points.emplace_back(
            i + 1, scale * value_at(figures_[i], {"new_pairs", category, figure + "_before"}));
      }
      plot.series.push_back(std::move(after));
      plot.series.push_back(std::move(before));
    }
    return plot;
  }

  Table table() const {
    Table table{.header = {"model", "helpful", "safe", "combined", "own helpful", "own safe",
                           "own combined"},
                .rows = {}};
    for (size_t m = 0; m < models_.size(); ++m) {
      table.rows.push_back({models_[m]});
      for (const char* reward : {"helpfulness", "safety", "reward"}) {
        table.rows.back().push_back(
            number(value_at(figures_.back(), {"held_out", models_[m], reward})));
      }
      for (const char* reward : {"helpfulness", "safety", "reward"}) {
        table.rows.back().push_back(
            m == 0 || m > figures_.size()
                ? "-"
                : number(value_at(figures_[m - 1], {"held_out", models_[m], reward})));
      }
    }
    return table;
  }

 private:
  std::vector<std::string> names_;
  std::vector<ordered_json> figures_;
  std::vector<std::string> models_;
};

}  // namespace

Section iterations_section(const RunFiles& files) {
  Section section("iterations", "Iterations");
  const auto reports = files.of(FigureKind::iterations);
  for (const FigureFile* file : reports) {
    if (reports.size() > 1) section.heading(file->place.name);
    read_figures(*file, [&](const ordered_json& report) {
      const Iterations iterations(report);
      section.figure(iterations.helpfulness_against_safety(),
                     "Each model on held-out prompts, scored by the last reward models, which is "
                     "one scale for all. Up and to the right is better in both.");
      section.figure(iterations.rewards(),
                     "Solid and dashed drifting apart is the reward models' drift, not the "
                     "policy's progress. 0 is the model that all began with.");
      section.figure(
          iterations.of_new_pairs("Accuracy on new pairs", "held-out pairs ranked right (%)",
                                  "accuracy", 100),
          "Before the reward model has learnt from an iteration's pairs, and after. Before much "
          "lower than after: the answers had left what it knew.");
      section.figure(iterations.of_new_pairs("Reward of each new batch", "mean reward (raw score)",
                                             "mean_reward", 1),
                     "Of all new answers. A jump from before to after is a reward model whose "
                     "scores moved.");
      section.table(iterations.table(),
                    "Mean rewards of held-out prompts, by the last reward models and by those of "
                    "the model's own iteration");
    });
  }
  return section;
}

}  // namespace cria
