// Plots as SVG, drawn by gnuplot: a file of its own, or a part of an HTML page.
//
//   Plot plot{.title = "Best of N", .x_title = "N (samples a prompt)", .y_title = "reward"};
//   plot.series.push_back({.label = "T = 1", .points = {{1, 0.2}, {2, 0.4}}});
//   write_file_atomically("best_of_n.svg", render_svg(plot));
#pragma once

#include <array>
#include <string>
#include <utility>
#include <vector>

namespace cria {

struct PlotSeries {
  std::string label;                              // in the legend
  std::vector<std::pair<double, double>> points;  // (x, y); what is not finite is left out
  int colour = 0;                                 // a place in the palette, which goes round
  bool dashed = false;
  bool joined = true;  // points by a line
  // Low and high end for each point, drawn as a bar: of y, or of x in a plot of rows. Or none.
  std::vector<std::pair<double, double>> intervals = {};
  std::vector<std::string> point_names = {};  // written beside the points; or none
};

struct Plot {
  std::string title;
  std::string x_title;  // with the unit, if there is one
  std::string y_title;
  std::vector<PlotSeries> series;
  bool logarithmic_x = false;  // base 2
  bool logarithmic_y = false;  // base 10
  // A plot of rows: y is 0, 1, … from the top, one named row each; the series stand a little apart.
  std::vector<std::string> row_names = {};
  std::vector<std::pair<double, double>> x_range = {};  // one, or none: as the points are
  std::vector<double> x_marks = {};                     // upright dashed lines: chance, zero
};

// Okabe and Ito's colours, which people of all kinds of sight tell apart.
inline constexpr std::array<const char*, 7> kPalette = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                        "#e69f00", "#56b4e9", "#000000"};
inline constexpr const char* kInk = "#333333";  // of all that is no curve
inline constexpr const char* kGridColour = "#dddddd";

// Title and legend included. A failure when gnuplot is not installed, says which package to
// install; one when gnuplot refuses the plot says why. Texts are UTF-8 and drawn as they are.
std::string render_svg(const Plot& plot);

// Small, for a column of a page or a phone, without title and legend: a page has its own. What
// becomes of it: inline_svg.h.
std::string render_small_svg(const Plot& plot);

}  // namespace cria
