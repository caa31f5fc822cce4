// Line plots as SVG, drawn by gnuplot.
//
//   Plot plot{.title = "Best of N", .x_title = "N (samples a prompt)", .y_title = "reward"};
//   plot.series.push_back({.label = "T = 1", .points = {{1, 0.2}, {2, 0.4}}});
//   write_file_atomically("best_of_n.svg", render_svg(plot));
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cria {

struct PlotSeries {
  std::string label;                              // in the legend
  std::vector<std::pair<double, double>> points;  // (x, y); what is not finite is left out
  int colour = 0;                                 // a place in the palette, which goes round
  bool dashed = false;
};

struct Plot {
  std::string title;
  std::string x_title;  // with the unit, if there is one
  std::string y_title;
  std::vector<PlotSeries> series;
  bool logarithmic_x = false;  // base 2
};

// A failure when gnuplot is not installed, says which package to install; one when gnuplot refuses
// the plot says why. Texts are UTF-8 and drawn as they are.
std::string render_svg(const Plot& plot);

}  // namespace cria
