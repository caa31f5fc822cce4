#include "cria/report/plot.h"

#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include "cria/core/error.h"

namespace cria {
namespace {

Plot small_plot() {
  Plot plot{.title = "It's a plot_of {things}",
            .x_title = "N (samples)",
            .y_title = "reward <raw>",
            .logarithmic_x = true};
  plot.series.push_back({.label = "T = 1.3", .points = {{1, 0.5}, {2, 0.75}, {4, NAN}, {8, 1.0}}});
  plot.series.push_back({.label = "T = 0.7", .points = {{1, 0.25}, {8, 0.5}}, .colour = 1});
  return plot;
}

TEST(Plot, HasItsTextsAndItsOwnColours) {
  const std::string svg = render_svg(small_plot());
  for (const char* text : {"<svg", "It's a plot_of {things}", "N (samples)", "reward &lt;raw>",
                           "T = 1.3", "T = 0.7", "0, 114, 178", "213,  94,   0"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text << " is not in\n" << svg.substr(0, 4000);
  }
  EXPECT_EQ(render_svg(small_plot()), svg);
}

TEST(Plot, OfASinglePoint) {
  for (const bool logarithmic : {false, true}) {
    Plot plot{.title = "one", .x_title = "x", .y_title = "y", .logarithmic_x = logarithmic};
    plot.series.push_back({.label = "p", .points = {{1, 0.5}}});
    EXPECT_NE(render_svg(plot).find("</svg>"), std::string::npos);
  }
}

// Rows by name, from the top, each with a bar for its interval, series beside each other.
TEST(Plot, OfRowsHasTheirNamesAndIntervals) {
  Plot plot{.title = "rows", .x_title = "share", .y_title = "", .series = {}};
  plot.row_names = {"first row", "it's the second"};
  plot.x_range = {{0, 100}};
  plot.x_marks = {50};
  for (int colour : {0, 1}) {
    plot.series.push_back({.label = "s",
                           .points = {{20, 0}, {80, 1}},
                           .colour = colour,
                           .joined = false,
                           .intervals = {{10, 30}, {70, 90}}});
  }
  const std::string svg = render_small_svg(plot);
  EXPECT_LT(svg.find("first row"), svg.find("it's the second"));
  EXPECT_NE(svg.find("stroke-dasharray"), std::string::npos) << "the mark at 50";
  Plot taller = plot;
  taller.row_names.push_back("third");
  EXPECT_NE(render_small_svg(taller).substr(0, 200), svg.substr(0, 200)) << "as high as its rows";
}

TEST(Plot, WritesNamesBesideItsPoints) {
  Plot plot{.title = "t", .x_title = "x", .y_title = "y", .series = {}};
  plot.series.push_back(
      {.label = "s", .points = {{1, 2}, {2, NAN}, {3, 4}}, .point_names = {"V0", "V1", "\"V\\2"}});
  const std::string svg = render_small_svg(plot);
  EXPECT_NE(svg.find(">V0<"), std::string::npos) << svg;
  EXPECT_EQ(svg.find(">V1<"), std::string::npos) << "its point is not finite";
  EXPECT_NE(svg.find("V 2"), std::string::npos) << "no way out of the quotes";
}

// gnuplot's own would be a dozen, which run into each other on a small plot.
TEST(Plot, HasFewMarksWhereItIsSmall) {
  Plot plot{.title = "t", .x_title = "x", .y_title = "y", .series = {}};
  plot.series.push_back({.label = "s", .points = {{0, 0.1}, {130000, 0.75}}});
  const std::string svg = render_small_svg(plot);
  EXPECT_NE(svg.find(" 50000<"), std::string::npos) << svg;
  EXPECT_EQ(svg.find(" 20000<"), std::string::npos) << svg;
}

TEST(Plot, WithoutPointsIsAFailure) {
  Plot plot = small_plot();
  plot.series.resize(1);
  plot.series[0].points = {{1, NAN}};
  EXPECT_THROW(render_svg(plot), Error);
}

TEST(Plot, WithoutGnuplotNamesThePackage) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  try {
    render_svg(small_plot());
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find("apt-get install gnuplot-nox"), std::string::npos) << message;
  }
  setenv("PATH", path.c_str(), 1);
}

}  // namespace
}  // namespace cria
