// Heat maps as SVG, drawn by gnuplot: panels side by side that share one scale of colours.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cria {

struct HeatPanel {
  std::string title;
  // Cells lie between neighbouring edges; rows go from the top down.
  std::vector<double> column_edges;                        // C + 1, rising
  std::vector<double> row_edges;                           // R + 1, rising
  std::vector<float> values;                               // [R, C]; what is not finite stays empty
  std::vector<std::pair<double, std::string>> row_labels;  // where on the y axis, and what
  // A stretch of columns that is marked with dashed lines and named above; none without a name.
  double mark_begin = 0, mark_end = 0;
  std::string mark;
};

struct HeatMap {
  std::string title;
  std::string x_title;
  std::string y_title;
  std::string value_title;
  double smallest = 0, largest = 1;  // the ends of the scale
  std::vector<HeatPanel> panels;
};

// As render_svg of a Plot: a failure where there is nothing to draw, or gnuplot does not.
std::string render_svg(const HeatMap& map);

}  // namespace cria
