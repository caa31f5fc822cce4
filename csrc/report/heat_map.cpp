#include "cria/report/heat_map.h"

#include <cmath>

#include "cria/core/error.h"

#include "gnuplot.h"

namespace cria {

namespace {

constexpr int kPanelWidth = 460, kScaleWidth = 110, kHeight = 540;  // pixels
constexpr const char* kMarkColour = "#d55e00";

// Viridis (van der Walt and Smith): as light as the value is large, to people of all kinds of
// sight.
constexpr const char* kColourScale =
    "set palette defined (0 '#440154', 1 '#472d7b', 2 '#3b528b', 3 '#2c728e', 4 '#21918c', "
    "5 '#28ae80', 6 '#5ec962', 7 '#addc30', 8 '#fde725')\n";

// One line a cell: its middle, its four sides, its value.
std::string cells_of(const HeatPanel& panel) {
  const size_t columns = panel.column_edges.size() - 1, rows = panel.row_edges.size() - 1;
  CRIA_ASSERT(panel.values.size() == rows * columns);
  std::string cells;
  for (size_t r = 0; r < rows; ++r) {
    const double top = panel.row_edges[r], bottom = panel.row_edges[r + 1];
    for (size_t c = 0; c < columns; ++c) {
      const float value = panel.values[r * columns + c];
      if (!std::isfinite(value)) continue;
      const double left = panel.column_edges[c], right = panel.column_edges[c + 1];
      cells += fmt::format("{} {} {} {} {} {} {}\n", (left + right) / 2, (top + bottom) / 2, left,
                           right, top, bottom, value);
    }
  }
  return cells;
}

std::string draw_panel(const HeatPanel& panel, size_t number) {
  std::string labels;
  for (const auto& [place, text] : panel.row_labels) {
    labels += fmt::format("{}{} {}", labels.empty() ? "" : ", ", gnuplot_quoted(text), place);
  }
  std::string script = fmt::format(
      "set title {} textcolor rgb '{}'\n"
      "set xrange [{}:{}]\nset yrange [{}:{}]\nset ytics ({})\nunset arrow\nunset label\n",
      gnuplot_quoted(panel.title), kInk, panel.column_edges.front(), panel.column_edges.back(),
      panel.row_edges.back(), panel.row_edges.front(), labels);
  if (!panel.mark.empty()) {
    script += fmt::format(
        "set arrow from first {0}, graph 1.015 to first {1}, graph 1.015 nohead linewidth 5 "
        "linecolor rgb '{2}'\n"
        "set label {3} at first {0}, graph 1.05 textcolor rgb '{2}'\n",
        panel.mark_begin, panel.mark_end, kMarkColour, gnuplot_quoted(panel.mark));
  }
  return script + fmt::format(
                      "plot $panel{} using 1:2:3:4:5:6:7 with boxxyerror fillstyle solid noborder "
                      "linecolor palette notitle\n",
                      number);
}

}  // namespace

std::string render_svg(const HeatMap& map) {
  std::string script;
  for (size_t i = 0; i < map.panels.size(); ++i) {
    const std::string cells = cells_of(map.panels[i]);
    if (cells.empty()) {
      throw failure("heat map", fmt::format("'{}' has no cells", map.panels[i].title));
    }
    script += fmt::format("$panel{} << END\n{}END\n", i, cells);
  }
  if (map.panels.empty()) throw failure("heat map", fmt::format("'{}' has no panels", map.title));

  const auto panels = static_cast<int>(map.panels.size());
  const int width = kPanelWidth * panels + kScaleWidth;
  const auto share = [&](int pixels) { return static_cast<double>(pixels) / width; };
  script += svg_terminal(width, kHeight) + kColourScale;
  script += fmt::format(
      "set border linecolor rgb '{0}'\n"
      "set tics nomirror out textcolor rgb '{0}'\n"
      "set object rectangle from graph 0, graph 0 to graph 1, graph 1 behind fillstyle solid "
      "noborder fillcolor rgb '#eeeeee'\n"
      "set xlabel {1} textcolor rgb '{0}'\nset ylabel {2} textcolor rgb '{0}'\n"
      "set cblabel {3} textcolor rgb '{0}'\nset cbrange [{4}:{5}]\n",
      kInk, gnuplot_quoted(map.x_title), gnuplot_quoted(map.y_title),
      gnuplot_quoted(map.value_title), map.smallest, map.largest);
  script += fmt::format(
      "set colorbox user origin {1},0.14 size {2},0.7\n"
      "set multiplot layout 1,{3} title {4} textcolor rgb '{5}' margins {6},{0},0.14,0.84 spacing "
      "{7}\n",
      1 - share(kScaleWidth), 1 - share(kScaleWidth - 10), share(18), panels,
      gnuplot_quoted(map.title), kInk, share(75), share(85));
  for (size_t i = 0; i < map.panels.size(); ++i) script += draw_panel(map.panels[i], i);
  return run_gnuplot(script + "unset multiplot\n");
}

}  // namespace cria
