#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "trainers/gatt/consistency.h"

namespace cria {
namespace {

Consistency figures() {
  Consistency all;
  for (int64_t turn = 0; turn < 24; ++turn) {
    all.add(Telling::long_once, "persona", turn, turn < 12);
    all.add(Telling::long_once, "mood", turn, false);
    all.add(Telling::every_turn, "persona", turn, true);
    all.add_dropped(Telling::long_once, turn > 20 ? 2 : 0);
  }
  return all;
}

TEST(Consistency, IsTheShareOfTurnsThatFollow) {
  const Consistency all = figures();
  EXPECT_EQ(all.turns(), 24);
  // Turns 10 to 20 are 11, of which 10, 11 and 12 follow.
  const Share late = all.in(Telling::long_once, kTurnRanges[3], {"persona"});
  EXPECT_EQ(late.checked, 11);
  EXPECT_EQ(late.followed, 3);
  EXPECT_DOUBLE_EQ(all.in(Telling::long_once, kTurnRanges[3], {"persona", "mood"}).value(),
                   3. / 22);
  EXPECT_DOUBLE_EQ(all.in(Telling::every_turn, kTurnRanges[3], {"persona"}).value(), 1);
  EXPECT_EQ(all.in(Telling::long_once, kTurnRanges[4], {"persona"}).checked, 4);  // 21 to 24
  EXPECT_EQ(all.at(Telling::long_once, 11, {"persona"}).followed, 1);
  EXPECT_EQ(all.at(Telling::long_once, 12, {"persona"}).followed, 0);
  EXPECT_DOUBLE_EQ(all.answers_with_dropped_turns(Telling::long_once), 3. / 24);
  EXPECT_FALSE(all.has(Telling::short_once));
  int64_t turns = 0;
  for (const TurnRange& range : kTurnRanges) {
    turns += all.in(Telling::long_once, range, {"persona"}).checked;
  }
  EXPECT_EQ(turns, 24) << "ranges overlap or leave turns out";
}

TEST(Consistency, HeldOutKindsAreReportedApart) {
  const auto json = figures().to_json({"mood"});
  EXPECT_DOUBLE_EQ(json["long_once"]["trained"]["turns"]["10-20"]["share"], 3. / 11);
  EXPECT_EQ(json["long_once"]["held_out"]["turns"]["10-20"]["checked"], 11);
  EXPECT_EQ(json["long_once"]["held_out"]["turns"]["10-20"]["followed"], 0);
  EXPECT_EQ(json["long_once"]["trained"]["by_turn"].size(), 24u);
  EXPECT_FALSE(json["every_turn"].contains("held_out"));
  const std::vector<NamedConsistency> models = {{"before", figures()}};
  const std::string table = consistency_table(models, {"mood"});
  EXPECT_NE(table.find("kinds never trained on"), std::string::npos) << table;
  EXPECT_NE(table.find("27.3%"), std::string::npos) << table;
  const Plot plot = consistency_plot(models, {"mood"});
  ASSERT_EQ(plot.series.size(), 2u);
  EXPECT_EQ(plot.series[0].points[11], std::pair(12.0, 100.0));
  EXPECT_EQ(plot.series[0].points[12], std::pair(13.0, 0.0));
  EXPECT_TRUE(plot.series[1].dashed);
}

}  // namespace
}  // namespace cria
