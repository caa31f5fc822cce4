#include <set>

#include <gtest/gtest.h>

#include "trainers/gatt/instructions.h"

namespace cria {
namespace {

using Strings = std::vector<std::string>;

TEST(ParseList, TakesBulletsNumbersAndQuotesOff) {
  EXPECT_EQ(
      parse_list(
          "Here are some:\n1. Chess\n2) \"Golf\",\n- tennis.\n* Table tennis\n\u2022 yoga\n\n",
          true, 3),
      (Strings{"Chess", "Golf", "tennis", "Table tennis", "yoga"}));
  EXPECT_EQ(parse_list("chess, golf , tennis.", true, 3), (Strings{"chess", "golf", "tennis"}));
  EXPECT_EQ(parse_list("", true, 3), Strings{});
  EXPECT_EQ(parse_list("3D printing\n4.", true, 3), (Strings{"3D printing"}));
}

TEST(ParseList, LeavesOutWhatIsTooLongAndWhatWasCutOff) {
  EXPECT_EQ(parse_list("chess\nI do not know any others\ngolf", true, 3),
            (Strings{"chess", "golf"}));
  EXPECT_EQ(parse_list("chess\ngolf\nten", false, 3), (Strings{"chess", "golf"}));
}

TEST(MergeLists, EveryEntryOnceAndOnlyThoseThatEnoughListsName) {
  const std::vector<Strings> lists = {{"Chess", "golf", "chess"}, {"GOLF", "yoga"}, {"golf"}};
  EXPECT_EQ(merge_lists(lists, 1), (Strings{"Chess", "golf", "yoga"}));
  EXPECT_EQ(merge_lists(lists, 2), (Strings{"golf"}));
}

TEST(FillForms, PutTheValueIntoBothForms) {
  const ListedKind kind{.name = "figure",
                        .values = {},
                        .prompts = {},
                        .long_form = "Always act as {}.",
                        .short_form = "Figure: {}."};
  const auto filled = fill_forms(kind, {"Napoleon"});
  ASSERT_EQ(filled.size(), 1u);
  EXPECT_EQ(filled[0].long_form, "Always act as Napoleon.");
  EXPECT_EQ(filled[0].short_form, "Figure: Napoleon.");
  EXPECT_EQ(filled[0].kinds, Strings{"figure"});
  EXPECT_EQ(filled[0].values, Strings{"Napoleon"});
}

std::vector<GattInstruction> simple() {
  std::vector<GattInstruction> all;
  for (const char* kind : {"a", "b", "c"}) {
    for (const char* value : {"1", "2"}) {
      const std::string both = std::string(kind) + value;
      all.push_back({"Long " + both + ".", both + ".", {kind}, {value}});
    }
  }
  return all;
}

TEST(Combine, JoinsDifferentKindsByChanceAndDependsOnSeedAndNumberAlone) {
  const auto drawn = combine(simple(), 1000, 0.25, 3);
  std::array<int, 4> by_kinds{};
  std::set<std::string> firsts;
  for (const GattInstruction& one : drawn) {
    ASSERT_EQ(one.kinds.size(), one.values.size());
    ASSERT_LE(one.kinds.size(), 3u);
    EXPECT_EQ(std::set<std::string>(one.kinds.begin(), one.kinds.end()).size(), one.kinds.size());
    ++by_kinds[one.kinds.size()];
    std::string long_form, short_form;
    for (size_t i = 0; i < one.kinds.size(); ++i) {
      const std::string both = one.kinds[i] + one.values[i];
      long_form += (i > 0 ? " Long " : "Long ") + both + ".";
      short_form += (i > 0 ? " " : "") + both + ".";
    }
    EXPECT_EQ(one.long_form, long_form);
    EXPECT_EQ(one.short_form, short_form);
    firsts.insert(one.kinds[0] + one.values[0]);
  }
  EXPECT_EQ(firsts.size(), 6u);
  // 750 expected of one kind, deviation 14; 62 of three, deviation 8: five deviations.
  EXPECT_NEAR(by_kinds[1], 750, 70);
  EXPECT_NEAR(by_kinds[3], 62, 40);

  const auto fewer = combine(simple(), 10, 0.25, 3);
  for (size_t i = 0; i < fewer.size(); ++i) EXPECT_EQ(to_line(fewer[i]), to_line(drawn[i]));
  const auto other = combine(simple(), 1000, 0.25, 4);
  EXPECT_NE(to_line(other[0]) + to_line(other[1]) + to_line(other[2]),
            to_line(drawn[0]) + to_line(drawn[1]) + to_line(drawn[2]));
  for (const GattInstruction& one : combine(simple(), 100, 0, 3)) EXPECT_EQ(one.kinds.size(), 1u);
}

TEST(FollowsInDemoWorld, AsksForEveryPart) {
  const GattInstruction both{"", "", {"persona", "hobby"}, {"pirate", "chess"}};
  EXPECT_TRUE(follows_in_demo_world(both, "red. arr! I love chess."));
  EXPECT_FALSE(follows_in_demo_world(both, "red. arr!"));
  EXPECT_FALSE(follows_in_demo_world(both, "red. I love chess."));
}

}  // namespace
}  // namespace cria
