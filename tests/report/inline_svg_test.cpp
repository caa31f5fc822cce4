#include "cria/report/inline_svg.h"

#include <gtest/gtest.h>

#include "cria/core/error.h"
#include "cria/report/plot.h"

namespace cria {
namespace {

TEST(InlineSvg, IsDrawingAlone) {
  const std::string svg = inline_svg(
      R"(<?xml version="1.0"?><!DOCTYPE svg><svg width="9" height="6"><title>gone</title>)"
      R"(<script>gone()</script><foreignObject><g/></foreignObject><style>gone</style>)"
      R"x(<g onclick="gone()" style="gone"><rect width="1" fill="url(#gone)" stroke="black"/></g>)x"
      R"(<image href="gone.png"/><image href="data:image/png;base64,AAAA" width="2"/>)"
      R"(<use href="gone.svg#a"/><text>a &lt; b</text><g> </g></svg>)",
      "p", "say \"it\"", "file");
  EXPECT_EQ(svg,
            "<svg viewBox=\"0 0 9 6\" role=\"img\" aria-label=\"say &quot;it&quot;\">"
            "<g><rect width=\"1\" stroke=\"var(--series-6)\"/></g><image/>"
            "<image href=\"data:image/png;base64,AAAA\" width=\"2\"/><use/>"
            "<text>a &lt; b</text></svg>");
}

TEST(InlineSvg, HasThePagesColoursAndIdsOfItsOwn) {
  const std::string svg = inline_svg(
      R"(<svg viewBox="0 0 1 1"><defs><circle id='dot' r='1'/><circle id='unused'/></defs>)"
      R"(<use xlink:href='#dot' color='rgb(  0, 114, 178)'/><path stroke="#DDDDDD"/>)"
      R"(<path stroke='rgb( 51,  51,  51)' fill='#ffffff'/><path fill='rgb(1,2,3)'/></svg>)",
      "p-1", "", "file");
  EXPECT_EQ(svg,
            "<svg viewBox=\"0 0 1 1\" role=\"img\" aria-label=\"\">"
            "<defs><circle id=\"p-1-dot\" r=\"1\"/></defs>"
            "<use href=\"#p-1-dot\" color=\"var(--series-0)\"/><path stroke=\"var(--plot-grid)\"/>"
            "<path stroke=\"var(--plot-ink)\" fill=\"var(--plot-paper)\"/>"
            "<path fill=\"rgb(1,2,3)\"/></svg>");
}

// All of a plot: no colour of its own is left, so that a page decides on all of them.
TEST(InlineSvg, OfAPlotFollowsThePage) {
  Plot plot{.title = "not drawn", .x_title = "x <1>", .y_title = "y", .series = {}};
  for (int colour = 0; colour < 7; ++colour) {
    plot.series.push_back({.label = "not drawn",
                           .points = {{0, colour}, {1, 2}},
                           .colour = colour,
                           .intervals = {{0, 1}, {1, 3}}});
  }
  const std::string svg = inline_svg(render_small_svg(plot), "p", "label", "gnuplot");
  for (int colour = 0; colour < 7; ++colour) {
    EXPECT_NE(svg.find(fmt::format("var(--series-{})", colour)), std::string::npos) << colour;
  }
  EXPECT_NE(svg.find("x &lt;1&gt;"), std::string::npos);
  for (const char* part : {"rgb(", "not drawn", "font-family", "http"}) {
    EXPECT_EQ(svg.find(part), std::string::npos) << part;
  }
}

TEST(InlineSvg, NamesTheLineThatIsNoXml) {
  for (const auto& [svg, where] : {std::pair("<svg>\n<g\n</svg>", "a.svg:"), {"<p/>", "a.svg"}}) {
    try {
      inline_svg(svg, "p", "", "a.svg");
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 2);
      EXPECT_NE(std::string(error.what()).find(where), std::string::npos) << error.what();
    }
  }
}

TEST(InlineSvg, EscapesWhatMarkupIsMadeOf) {
  EXPECT_EQ(escaped_html("<a b=\"c\">'d' & e\n"), "&lt;a b=&quot;c&quot;&gt;&#39;d&#39; &amp; e\n");
  EXPECT_EQ(escaped_html(std::string("a\0b\x1b[0m\x7f", 8)), "a\uFFFDb\uFFFD[0m\uFFFD");
}

}  // namespace
}  // namespace cria
