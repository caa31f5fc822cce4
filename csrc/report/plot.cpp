#include "cria/report/plot.h"

#include <array>
#include <cmath>

#include "cria/core/error.h"

#include "gnuplot.h"

namespace cria {

namespace {

// Okabe and Ito's colours, which people of all kinds of sight tell apart.
constexpr std::array<const char*, 7> kPalette = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                 "#e69f00", "#56b4e9", "#000000"};

std::string script_for(const Plot& plot) {
  std::string script;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    script += fmt::format("$series{} << END\n", i);
    for (const auto& [x, y] : plot.series[i].points) {
      if (std::isfinite(x) && std::isfinite(y)) script += fmt::format("{} {}\n", x, y);
    }
    script += "END\n";
  }
  script += svg_terminal(800, 500);
  script += fmt::format(
      "set border 3 linecolor rgb '{0}'\n"
      "set tics nomirror textcolor rgb '{0}'\n"
      "set grid linecolor rgb '#dddddd' linetype 1\n"
      "set key outside right textcolor rgb '{0}'\n"
      "set title {1} textcolor rgb '{0}'\n"
      "set xlabel {2} textcolor rgb '{0}'\n"
      "set ylabel {3} textcolor rgb '{0}'\n",
      kInk, gnuplot_quoted(plot.title), gnuplot_quoted(plot.x_title), gnuplot_quoted(plot.y_title));
  if (plot.logarithmic_x) script += "set logscale x 2\n";
  script += "plot ";
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const PlotSeries& series = plot.series[i];
    script += fmt::format(
        "{}$series{} using 1:2 with linespoints linewidth 2 pointsize 0.4 "
        "pointtype 7 dashtype {} linecolor rgb '{}' title {}",
        i > 0 ? ", " : "", i, series.dashed ? 2 : 1,
        kPalette[static_cast<size_t>(series.colour) % kPalette.size()],
        gnuplot_quoted(series.label));
  }
  return script + "\n";
}

}  // namespace

std::string render_svg(const Plot& plot) {
  bool has_points = false;
  for (const PlotSeries& series : plot.series) {
    for (const auto& [x, y] : series.points) has_points |= std::isfinite(x) && std::isfinite(y);
  }
  if (!has_points) throw failure("plot", fmt::format("'{}' has no points", plot.title));
  return run_gnuplot(script_for(plot));
}

}  // namespace cria
