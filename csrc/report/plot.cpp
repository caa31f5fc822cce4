#include "cria/report/plot.h"

#include <algorithm>
#include <cmath>

#include "cria/core/error.h"

#include "gnuplot.h"

namespace cria {

namespace {

// A plot's place: a file that stands alone, or a figure of a page.
struct Canvas {
  int width, height;
  int font_size;
  bool has_title_and_legend;
};

// In a data block texts stand in double quotes, where a backslash and a quote would mean something.
std::string quoted_in_data(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' || c == '\\' || c == '\n' ? ' ' : c;
  return out + "\"";
}

bool is_finite(const std::pair<double, double>& point) {
  return std::isfinite(point.first) && std::isfinite(point.second);
}

// Series of a plot of rows stand a little below each other within 0.6 of a row.
double row_shift(const Plot& plot, size_t series) {
  if (plot.row_names.empty()) return 0;
  const auto count = static_cast<double>(plot.series.size());
  return 0.6 * ((static_cast<double>(series) + 0.5) / count - 0.5);
}

// x, y, low, high, name; an interval of no width where there is none.
std::string data_of(const Plot& plot, size_t s) {
  const PlotSeries& series = plot.series[s];
  const bool in_rows = !plot.row_names.empty();
  std::string data;
  for (size_t i = 0; i < series.points.size(); ++i) {
    if (!is_finite(series.points[i])) continue;
    const auto [x, y] = series.points[i];
    std::pair<double, double> interval = {in_rows ? x : y, in_rows ? x : y};
    if (!series.intervals.empty()) interval = series.intervals[i];
    const std::string name = series.point_names.empty() ? "" : series.point_names[i];
    data += fmt::format("{} {} {} {} {}\n", x, y + row_shift(plot, s), interval.first,
                        interval.second, quoted_in_data(name));
  }
  return data;
}

// 1, 2 or 5 times a power of ten, so that no more than `most` marks stand on an axis.
double mark_distance(double low, double high, int most) {
  double distance = std::pow(10, std::floor(std::log10((high - low) / most)));
  for (const double factor : {2.0, 2.5, 2.0}) {
    if ((high - low) / distance <= most) break;
    distance *= factor;
  }
  return distance;
}

// gnuplot's own marks are so many that their numbers run into each other on a small plot.
std::string marks_of(const Plot& plot) {
  constexpr int kMostMarks = 6;
  double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
  bool counts = true;  // x is a step, an iteration, a turn: nothing stands between 1 and 2
  const auto take = [&](int axis, double value) {
    low[axis] = std::min(low[axis], value);
    high[axis] = std::max(high[axis], value);
  };
  for (const PlotSeries& series : plot.series) {
    for (size_t i = 0; i < series.points.size(); ++i) {
      if (!is_finite(series.points[i])) continue;
      take(0, series.points[i].first);
      counts = counts && series.points[i].first == std::floor(series.points[i].first);
      take(1, series.points[i].second);
      if (series.intervals.empty()) continue;
      const int axis = plot.row_names.empty() ? 1 : 0;
      take(axis, series.intervals[i].first);
      take(axis, series.intervals[i].second);
    }
  }
  if (!plot.x_range.empty()) {
    low[0] = plot.x_range[0].first;
    high[0] = plot.x_range[0].second;
  }
  std::string script;
  if (plot.logarithmic_x && high[0] >= 1e4) script += "set format x '%.0s%c'\n";  // 262k, 1M
  if (!plot.logarithmic_x && low[0] < high[0]) {
    const double distance = mark_distance(low[0], high[0], kMostMarks);
    script += fmt::format("set xtics {}\n", counts ? std::max(distance, 1.0) : distance);
  }
  if (!plot.logarithmic_y && plot.row_names.empty() && low[1] < high[1]) {
    script += fmt::format("set ytics {}\n", mark_distance(low[1], high[1], kMostMarks));
  }
  return script;
}

std::string axes_of(const Plot& plot) {
  std::string script;
  if (plot.logarithmic_x) script += "set logscale x 2\n";
  if (plot.logarithmic_y) script += "set logscale y 10\n";
  if (!plot.x_range.empty()) {
    script += fmt::format("set xrange [{}:{}]\n", plot.x_range[0].first, plot.x_range[0].second);
  }
  for (const double x : plot.x_marks) {
    script += fmt::format(
        "set arrow from first {0}, graph 0 to first {0}, graph 1 nohead linetype 1 linewidth 1 "
        "dashtype 2 linecolor rgb "
        "'{1}' back\n",
        x, kInk);
  }
  if (plot.row_names.empty()) return script;
  script += fmt::format("set yrange [{}:-0.5]\nset ytics (",
                        static_cast<double>(plot.row_names.size()) - 0.5);
  for (size_t i = 0; i < plot.row_names.size(); ++i) {
    script += fmt::format("{}{} {}", i > 0 ? ", " : "", gnuplot_quoted(plot.row_names[i]), i);
  }
  return script + ")\n";
}

// The bars of intervals, then the curve or the points, then their names.
std::string curves_of(const Plot& plot) {
  std::string script;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    const PlotSeries& series = plot.series[i];
    const std::string colour = kPalette[static_cast<size_t>(series.colour) % kPalette.size()];
    const char* comma = i > 0 ? ", " : "";
    if (!series.intervals.empty()) {
      script += fmt::format(
          "{}$series{} using 1:2:3:4 with {} linewidth 1.5 pointsize 0 "
          "linecolor rgb '{}' notitle",
          comma, i, plot.row_names.empty() ? "yerrorbars" : "xerrorbars", colour);
      comma = ", ";
    }
    constexpr size_t kMostMarked = 40;  // more points than that hide the line
    std::string style = "points linewidth 2 pointsize 0.6 pointtype 7";
    if (series.joined) {
      style = series.points.size() <= kMostMarked
                  ? "linespoints linewidth 2 pointsize 0.4 pointtype 7"
                  : "lines linewidth 2";
      style += fmt::format(" dashtype {}", series.dashed ? 2 : 1);
    }
    script += fmt::format("{}$series{} using 1:2 with {} linecolor rgb '{}' title {}", comma, i,
                          style, colour, gnuplot_quoted(series.label));
    if (series.point_names.empty()) continue;
    script += fmt::format(
        ", $series{} using 1:2:5 with labels offset 0.8,-0.6 left textcolor rgb "
        "'{}' notitle",
        i, kInk);
  }
  return script + "\n";
}

std::string script_for(const Plot& plot, const Canvas& canvas) {
  std::string script;
  for (size_t i = 0; i < plot.series.size(); ++i) {
    script += fmt::format("$series{} << END\n{}END\n", i, data_of(plot, i));
  }
  script += svg_terminal(canvas.width, canvas.height, canvas.font_size);
  script += fmt::format(
      "set border 3 linecolor rgb '{0}'\n"
      "set tics nomirror out scale 0.5 textcolor rgb '{0}'\n"
      "set grid linecolor rgb '{1}' linetype 1\n"
      "set xlabel {2} textcolor rgb '{0}'\n"
      "set ylabel {3} textcolor rgb '{0}'\n",
      kInk, kGridColour, gnuplot_quoted(plot.x_title), gnuplot_quoted(plot.y_title));
  if (canvas.has_title_and_legend) {
    script += fmt::format(
        "set key outside right textcolor rgb '{0}'\nset title {1} textcolor rgb '{0}'\n", kInk,
        gnuplot_quoted(plot.title));
  } else {
    script += "unset key\nset tmargin 0.6\nset rmargin 2.5\n" + marks_of(plot);
  }
  return script + axes_of(plot) + "plot " + curves_of(plot);
}

std::string render(const Plot& plot, const Canvas& canvas) {
  const auto has_point = [](const PlotSeries& series) {
    return std::any_of(series.points.begin(), series.points.end(), is_finite);
  };
  if (std::none_of(plot.series.begin(), plot.series.end(), has_point)) {
    throw failure("plot", fmt::format("'{}' has no points", plot.title));
  }
  Plot drawn = plot;
  std::erase_if(drawn.series, [&](const PlotSeries& series) { return !has_point(series); });
  return run_gnuplot(script_for(drawn, canvas));
}

}  // namespace

std::string render_svg(const Plot& plot) {
  return render(plot, {.width = 800, .height = 500, .font_size = 14, .has_title_and_legend = true});
}

std::string render_small_svg(const Plot& plot) {
  // Rows need their height: each series of a row 10, a row 20 at least.
  int height = 280;
  if (!plot.row_names.empty()) {
    const auto series = static_cast<int>(plot.series.size());
    height = 70 + static_cast<int>(plot.row_names.size()) * std::max(22, 11 * series + 6);
  }
  return render(plot,
                {.width = 420, .height = height, .font_size = 12, .has_title_and_legend = false});
}

}  // namespace cria
