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
