#include "cria/report/heat_map.h"

#include <cmath>

#include <gtest/gtest.h>

#include "cria/core/error.h"

namespace cria {
namespace {

HeatPanel small_panel(const std::string& title) {
  return {.title = title,
          .column_edges = {0, 4, 8, 10},
          .row_edges = {0, 1, 2},
          .values = {0.0f, 1.0f, NAN, 1.0f, 1.0f, 0.0f},
          .row_labels = {{0, "turn one"}, {1, "turn two"}},
          .mark_begin = 2,
          .mark_end = 6,
          .mark = "the marked"};
}

HeatMap small_map() {
  return {.title = "It's a map",
          .x_title = "token <x>",
          .y_title = "row title",
          .value_title = "weight",
          .panels = {small_panel("before"), small_panel("after")}};
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// The ends of the scale are viridis' ends: dark purple and yellow.
TEST(HeatMap, HasItsTextsAndACellForEachValue) {
  const std::string svg = render_svg(small_map());
  for (const char* text : {"It's a map", "token &lt;x>", "row title", "weight", "before", "after",
                           "turn one", "turn two", "the marked"}) {
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  // A cell less is one of its colour less: the others are those of the scale.
  HeatMap less = small_map();
  less.panels[0].values[1] = NAN;
  less.panels[1].values[5] = NAN;
  const std::string rest = render_svg(less);
  for (const char* colour : {"fill = 'rgb( 68,   1,  84)'", "fill = 'rgb(253, 231,  37)'"}) {
    EXPECT_EQ(count(svg, colour), count(rest, colour) + 1) << colour;
    EXPECT_GE(count(rest, colour), 3u) << colour;
  }
  EXPECT_EQ(render_svg(small_map()), svg);
}

TEST(HeatMap, WithoutCellsIsAFailure) {
  HeatMap map = small_map();
  for (float& value : map.panels[1].values) value = NAN;
  EXPECT_THROW(render_svg(map), Error);
  map.panels.clear();
  EXPECT_THROW(render_svg(map), Error);
}

}  // namespace
}  // namespace cria
