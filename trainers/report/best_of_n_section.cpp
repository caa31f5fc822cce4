// Rejection sampling: what the best of N answers is worth, by temperature.
#include "trainers/report/sections.h"

namespace cria {

namespace {

using nlohmann::ordered_json;

Plot best_of_n_plot(const FigureFile& file) {
  Plot plot{.title = "Best of N: " + file.place.name,
            .x_title = "N (answers to a prompt)",
            .y_title = "expected reward (raw score)",
            .series = {},
            .logarithmic_x = true};
  int colour = 0;
  read_figures(file, [&](const ordered_json& figures) {
    for (const ordered_json& entry : figures.at("by_temperature")) {
      const auto add = [&](const char* what, const char* key, bool dashed) {
        PlotSeries series{
            .label = fmt::format("{}, T = {}", what, number(entry.at("temperature").get<double>())),
            .points = {},
            .colour = colour,
            .dashed = dashed};
        double n = 0;
        for (const ordered_json& value : entry.at(key)) {
          series.points.emplace_back(++n, value.get<double>());
        }
        plot.series.push_back(std::move(series));
      };
      add("best", "expected_maximum", false);
      add("median", "expected_median", true);
      ++colour;
    }
  });
  return plot;
}

}  // namespace

Section best_of_n_section(const RunFiles& files) {
  Section section("best-of-n", "Best of N");
  for (const FigureFile* file : files.of(FigureKind::best_of_n)) {
    section.figure(best_of_n_plot(*file),
                   "The gap between the best and the median of N answers is what there is to "
                   "gain from choosing. The best temperature is the one whose best is highest at "
                   "the N that you can pay.");
  }
  return section;
}

}  // namespace cria
