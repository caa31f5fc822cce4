// Reward models: how often they are right, by how clear a pair is, how well their confidence is
// calibrated, and what more data or a larger model brings.
#include <algorithm>
#include <cmath>

#include "trainers/report/sections.h"

namespace cria {

namespace {

using nlohmann::ordered_json;
using Files = std::vector<const FigureFile*>;

Plot accuracy_while_training(const std::string& group, const std::vector<const Run*>& runs) {
  Plot plot{.title = title_of("Accuracy while training", group),
            .x_title = "step",
            .y_title = "pairs ranked right (%)",
            .series = {}};
  int colour = 0;
  for (const Run* run : runs) {
    const auto in_percent = [&](const char* figure) {
      auto points = run->curve(figure);
      for (auto& point : points) point.second *= 100;
      return points;
    };
    plot.series.push_back(
        {.label = run->place.label, .points = in_percent("accuracy"), .colour = colour});
    const auto held_out = in_percent("eval_accuracy");
    const bool joined = held_out.size() > 1;
    plot.series.push_back({.label = run->place.label + ", held out",
                           .points = held_out,
                           .colour = colour++,
                           .dashed = joined,
                           .joined = joined});
  }
  return plot;
}

// Names of parts, in the order in which the files have them; those of a category or a source only
// where there are several.
std::vector<std::string> parts_of(const Files& files) {
  std::vector<std::string> names;
  for (const FigureFile* file : files) {
    read_figures(*file, [&](const ordered_json& figures) {
      for (const auto& [name, part] : figures.at("parts").items()) {
        if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      }
    });
  }
  const auto is_source = [](const std::string& name) { return name.starts_with("source "); };
  if (std::count_if(names.begin(), names.end(), is_source) == 1) std::erase_if(names, is_source);
  const auto is_category = [](const std::string& name) {
    return name == "helpful" || name == "safety";
  };
  if (std::count_if(names.begin(), names.end(), is_category) == 1) {
    std::erase_if(names, is_category);
  }
  return names;
}

std::string spoken(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

Plot accuracy_by_part(const std::string& group, const Files& files) {
  const std::vector<std::string> parts = parts_of(files);
  Plot plot{.title = title_of("Accuracy by rating", group),
            .x_title = "pairs ranked right (%)",
            .y_title = "",
            .series = {},
            .x_range = {{0, 100}},
            .x_marks = {50}};
  for (const std::string& part : parts) plot.row_names.push_back(spoken(part));
  for (const FigureFile* file : files) {
    PlotSeries series{.label = file->place.label,
                      .points = {},
                      .colour = static_cast<int>(plot.series.size()),
                      .joined = false};
    read_figures(*file, [&](const ordered_json& figures) {
      for (size_t row = 0; row < parts.size(); ++row) {
        const auto found = figures.at("parts").find(parts[row]);
        if (found == figures.at("parts").end()) continue;
        const auto accuracy = found->at("accuracy").get<double>();
        series.points.emplace_back(100 * accuracy, static_cast<double>(row));
        series.intervals.push_back(interval_of_share(accuracy, found->at("pairs").get<double>()));
      }
    });
    plot.series.push_back(std::move(series));
  }
  return plot;
}

Plot calibration(const std::string& group, const Files& files) {
  Plot plot{.title = title_of("Calibration", group),
            .x_title = "confidence (%)",
            .y_title = "right (%)",
            .series = {}};
  for (const FigureFile* file : files) {
    PlotSeries series{
        .label = file->place.label, .points = {}, .colour = static_cast<int>(plot.series.size())};
    read_figures(*file, [&](const ordered_json& figures) {
      for (const ordered_json& bin : figures.at("calibration")) {
        if (bin.at("pairs").get<int64_t>() == 0) continue;
        series.points.emplace_back(100 * bin.at("confidence").get<double>(),
                                   100 * bin.at("accuracy").get<double>());
      }
    });
    plot.series.push_back(std::move(series));
  }
  plot.series.push_back(
      {.label = "perfect", .points = {{50, 50}, {100, 100}}, .colour = 6, .dashed = true});
  return plot;
}

// Accuracy against the pairs trained on, or the parameters; a curve for each of the other.
Plot scaling_plot(const FigureFile& file, const char* x, const char* curve) {
  const bool by_data = std::string(x) == "pairs";
  Plot plot{.title = title_of(by_data ? "Accuracy by data" : "Accuracy by size", file.place.group),
            .x_title = by_data ? "pairs trained on" : "parameters",
            .y_title = "held-out pairs ranked right (%)",
            .series = {},
            .logarithmic_x = true};
  read_figures(file, [&](const ordered_json& points) {
    for (const ordered_json& point : points) {
      const ordered_json& of = point.at(curve);
      const std::string label =
          of.is_string() ? of.get<std::string>() : fmt::format("share {}", of.get<double>());
      auto series = std::find_if(plot.series.begin(), plot.series.end(),
                                 [&](const PlotSeries& other) { return other.label == label; });
      if (series == plot.series.end()) {
        const auto colour = static_cast<int>(plot.series.size());
        series = plot.series.insert(series, {.label = label, .points = {}, .colour = colour});
      }
      const ordered_json& all = point.at("evaluation").at("parts").at("all");
      const auto accuracy = all.at("accuracy").get<double>();
      series->points.emplace_back(point.at(x).get<double>(), 100 * accuracy);
      series->intervals.push_back(interval_of_share(accuracy, all.at("pairs").get<double>()));
    }
  });
  return plot;
}

}  // namespace

Section reward_model_section(const RunFiles& files) {
  Section section("reward-models", "Reward models");
  for (const auto& [group, members] : in_groups(files.of(FigureKind::preferences))) {
    section.figure(accuracy_by_part(group, members),
                   "Held-out pairs, with 95% intervals. People agree where one answer is clearly "
                   "better, and so should the model; guessing is at 50%.");
    section.figure(calibration(group, members),
                   "How often the model is right, against how sure it is of the better answer. "
                   "Below the dashed line it is surer than it should be.");
  }
  for (const auto& [group, runs] : in_groups(files.of(RunKind::reward))) {
    section.figure(accuracy_while_training(group, runs),
                   "Of each logged step's batch, and of held-out pairs where they are evaluated.");
  }
  for (const FigureFile* file : files.of(FigureKind::scaling)) {
    section.figure(scaling_plot(*file, "pairs", "model"),
                   "What more pairs bring, with 95% intervals: a curve that still rises has not "
                   "had enough.");
    section.figure(scaling_plot(*file, "parameters", "share"),
                   "What a larger model brings on the same pairs, with 95% intervals.");
  }
  return section;
}

}  // namespace cria
