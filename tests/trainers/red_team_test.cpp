#include "trainers/evaluation/red_team.h"

#include <fstream>

#include <gtest/gtest.h>

#include "cria/core/error.h"

#include "support/places.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

class RedTeam : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
    return directory_ / name;
  }
  std::string styles_error(const std::string& text) const {
    try {
      read_attack_styles(file("styles.yaml", text));
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 2);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    return "no error";
  }

  TemporaryDirectory directory_;
};

TEST_F(RedTeam, EveryRequestInEveryAttack) {
  const std::vector<AttackStyle> styles = read_attack_styles(file(
      "styles.json", R"({"plain": ["{prompt}"], "turns": [["Hi.", "So {prompt} {prompt}"]]})"));
  ASSERT_EQ(styles.size(), 2u);
  const std::string requests =
      file("requests.jsonl", R"({"prompt": "Steal {prompt}", "risk": "crime"}
{"prompt": "Mock", "risk": "hate", "style": "plain"}
)");
  const std::vector<Attack> attacks = make_attacks(styles, {requests}, {}, "risk");
  ASSERT_EQ(attacks.size(), 4u);
  EXPECT_EQ(attacks[0].turns, std::vector<std::string>{"Steal {prompt}"});
  EXPECT_EQ(attacks[0].category, "crime");
  EXPECT_EQ(attacks[3].style, "turns");
  EXPECT_EQ(attacks[3].turns, (std::vector<std::string>{"Hi.", "So Mock Mock"}));
  EXPECT_EQ(attacks[3].where, requests + ":2");
  const std::vector<Attack> some = make_attacks(styles, {requests}, {"style", "plain"}, "kind");
  ASSERT_EQ(some.size(), 2u);
  EXPECT_EQ(some[0].turns[0], "Mock");
  EXPECT_EQ(some[0].category, "");
  EXPECT_THROW(make_attacks(styles, {requests}, {"style", "none"}, "risk"), Error);
  EXPECT_THROW(make_attacks(styles, {file("bad.jsonl", "{\"prompt\": [1]}\n")}, {}, "risk"), Error);
}

TEST_F(RedTeam, TheExampleFileIsSound) {
  const std::vector<AttackStyle> styles =
      read_attack_styles(testing::source_path("configs/demo/attack_styles.yaml"));
  EXPECT_EQ(styles.size(), 5u);
  EXPECT_EQ(styles[4].attacks[1].size(), 3u);
}

TEST_F(RedTeam, BadStylesNameTheirLine) {
  EXPECT_NE(styles_error("").find("holds no styles"), std::string::npos);
  EXPECT_NE(styles_error("[a]").find("holds no styles"), std::string::npos);
  EXPECT_NE(styles_error("a: [\n").find("styles.yaml:"), std::string::npos);
  EXPECT_NE(styles_error("\nplain: x").find("styles.yaml:2: style 'plain' must be a list"),
            std::string::npos);
  EXPECT_NE(styles_error("a: []").find("must be a list of attacks"), std::string::npos);
  EXPECT_NE(styles_error("a:\n - x\n").find("styles.yaml:2: the attack does not say {prompt}"),
            std::string::npos);
  EXPECT_NE(styles_error("a:\n - [[x]]\n").find("must be a text"), std::string::npos);
  EXPECT_NE(styles_error("a: [{b: c}]").find("must be a text or a list"), std::string::npos);
}

TEST_F(RedTeam, CountsByCategoryStyleAndTurns) {
  const auto attack = [](const char* style, size_t turns, const char* category, bool violation) {
    return Attack{.style = style,
                  .turns = std::vector<std::string>(turns, "x"),
                  .category = category,
                  .violation = violation};
  };
  const std::vector<Attack> attacks = {attack("a", 2, "crime", true), attack("a", 1, "hate", false),
                                       attack("b", 1, "crime", true),
                                       attack("b", 1, "crime", false), attack("b", 3, "", true)};
  const auto parts = to_json(violation_counts(attacks));
  const auto expect = [&](const char* name, int count, int violations) {
    ASSERT_TRUE(parts.contains(name)) << name << " is not in " << parts;
    EXPECT_EQ(parts[name]["attacks"], count) << name;
    EXPECT_EQ(parts[name]["violations"], violations) << name;
    EXPECT_EQ(parts[name]["rate"], static_cast<double>(violations) / count) << name;
  };
  EXPECT_EQ(parts.size(), 11u) << parts;
  expect("all", 5, 3);
  expect("category crime", 3, 2);
  expect("category hate", 1, 0);
  expect("style a", 2, 1);
  expect("style b", 3, 2);
  expect("1 turn", 3, 1);
  expect("2 turns", 1, 1);
  expect("3 turns", 1, 1);
  expect("style a category crime", 1, 1);
  expect("style a category hate", 1, 0);
  expect("style b category crime", 2, 1);
}

}  // namespace
}  // namespace cria
