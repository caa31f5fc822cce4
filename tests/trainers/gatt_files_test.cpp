// From answered dialogues to training examples and preferences, without a model.
#include "trainers/gatt/gatt_files.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include <gtest/gtest.h>

#include "support/temporary_directory.h"
#include "text/small_tokenizer.h"

namespace cria {
namespace {

using nlohmann::json;

std::vector<json> parsed(const std::string& lines) {
  std::vector<json> values;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) values.push_back(json::parse(line));
  return values;
}

SampledTurn answer(int64_t turn, const std::string& text, bool follows = true) {
  SampledTurn sampled{
      .turn = turn, .completion = text, .finished_by_eos = true, .follows = follows};
  sampled.ids = small_tokenizer().encode(text);
  sampled.ids.push_back(small_tokenizer().eos_id());
  return sampled;
}

// Two turns, both answered.
GattDialogue dialogue(uint32_t number = 0) {
  GattDialogue d{.number = number, .where = "f:1", .said = {}, .instruction = {}, .kept = {}};
  d.said.turns = {{"hello", "", {}}, {"who sat on the mat", "", {}}};
  d.said.long_form = "be kind and short";
  d.said.short_form = "be kind";
  d.kept = {answer(0, "good day"), answer(1, "the cat")};
  for (size_t t = 0; t < 2; ++t) d.said.turns[t].answer_ids = d.kept[t].ids;
  return d;
}

GattConfig config() {
  GattConfig c;
  c.training.seed = 5;
  c.data.max_length = 512;
  return c;
}

std::string text_of(const json& ids) {
  return small_tokenizer().decode(ids.get<std::vector<int32_t>>());
}

TEST(GattExamples, HaveTheInstructionOnceAndLossOnTheLastAnswer) {
  GattConfig c = config();
  c.gatt.short_share = 0;
  GhostCounts counts;
  const auto lines = parsed(example_lines({dialogue()}, c, small_tokenizer(), counts));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(text_of(lines[0]["input_ids"]),
            "[INST] be kind and short hello [/INST] good day [INST] who sat on the mat [/INST] the "
            "cat");
  const std::vector<int32_t> ids = lines[0]["input_ids"];
  const std::vector<int32_t> labels = lines[0]["labels"];
  const std::vector<int32_t> last = answer(1, "the cat").ids;
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(labels[i], i + last.size() < ids.size() ? kNoLabel : ids[i]);
  }
  c.gatt.short_share = 1;
  const auto short_lines = parsed(example_lines({dialogue()}, c, small_tokenizer(), counts));
  EXPECT_EQ(text_of(short_lines[0]["input_ids"]).rfind("[INST] be kind hello", 0), 0u);
}

TEST(GattExamples, HalfOfThemAreShortEachByItsOwnDraw) {
  GattConfig c = config();
  std::vector<GattDialogue> many;
  for (uint32_t i = 0; i < 400; ++i) many.push_back(dialogue(i));
  GhostCounts counts;
  const auto lines = parsed(example_lines(many, c, small_tokenizer(), counts));
  EXPECT_NEAR(static_cast<double>(counts.short_forms), 200, 50);  // five deviations
  GhostCounts one;
  const auto alone = parsed(example_lines({dialogue(17)}, c, small_tokenizer(), one));
  EXPECT_EQ(alone[0], lines[17]);
}

TEST(GattExamples, EndAtEveryTurnWhereThatIsAsked) {
  GattConfig c = config();
  c.gatt.targets = "every_turn";
  GhostCounts counts;
  const auto lines = parsed(example_lines({dialogue()}, c, small_tokenizer(), counts));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["turn"], 0);
  EXPECT_EQ(lines[1]["turn"], 1);
}

TEST(GattExamples, LeaveOutAnswersThatAreCutOffOrDoNotFollow) {
  GattDialogue cut = dialogue(), other = dialogue();
  cut.kept[1].finished_by_eos = false;
  other.kept[1].follows = false;
  GhostCounts counts;
  EXPECT_EQ(example_lines({cut, other}, config(), small_tokenizer(), counts), "");
  EXPECT_EQ(counts.cut_off, 1);
  EXPECT_EQ(counts.not_following, 1);
  EXPECT_DOUBLE_EQ(counts.follows, 0.75);
}

TEST(GattExamples, DropTheOldestTurnsButTheFirst) {
  GattDialogue three = dialogue();
  three.said.turns.push_back({"hello", "", {}});
  three.kept.push_back(answer(2, "the dog"));
  GattConfig c = config();
  GhostCounts counts;
  const auto whole = parsed(example_lines({three}, c, small_tokenizer(), counts));
  EXPECT_EQ(counts.dropped_turns, 0);
  c.data.max_length = static_cast<int64_t>(whole[0]["input_ids"].size()) - 1;
  const auto cut = parsed(example_lines({three}, c, small_tokenizer(), counts));
  EXPECT_EQ(counts.dropped_turns, 1);
  EXPECT_EQ(text_of(cut[0]["input_ids"]).find("who sat"), std::string::npos);
  EXPECT_NE(text_of(cut[0]["input_ids"]).find("be kind"), std::string::npos);
}

TEST(GattPreferences, ShareTheirPromptAndPartAtTheAnswer) {
  GattDialogue plain = dialogue();
  plain.kept = {answer(0, "hello", false), answer(1, "the dog", false)};
  PreferenceCounts counts;
  const auto lines =
      parsed(preference_lines({dialogue()}, {plain}, config(), small_tokenizer(), counts));
  ASSERT_EQ(lines.size(), 1u);  // from the second turn on
  const std::vector<int32_t> chosen = lines[0]["chosen_input_ids"];
  const std::vector<int32_t> rejected = lines[0]["rejected_input_ids"];
  const std::vector<int32_t> better = answer(1, "the cat").ids, worse = answer(1, "the dog").ids;
  ASSERT_GT(chosen.size(), better.size());
  EXPECT_TRUE(std::equal(better.rbegin(), better.rend(), chosen.rbegin()));
  EXPECT_TRUE(std::equal(worse.rbegin(), worse.rend(), rejected.rbegin()));
  EXPECT_EQ(std::vector<int32_t>(chosen.begin(), chosen.end() - better.size()),
            std::vector<int32_t>(rejected.begin(), rejected.end() - worse.size()));
  for (const char* side : {"chosen_labels", "rejected_labels"}) {
    const std::vector<int32_t> labels = lines[0][side];
    const auto learnt = std::count_if(labels.begin(), labels.end(),
                                      [](int32_t label) { return label != kNoLabel; });
    EXPECT_EQ(static_cast<size_t>(learnt), better.size()) << side;
  }
}

TEST(GattPreferences, ArePairsOfOneThatFollowsAndOneThatDoesNot) {
  GattConfig c = config();
  c.gatt.checker = "demo_world";
  for (const bool chosen : {false, true}) {
    for (const bool rejected : {false, true}) {
      GattDialogue instructed = dialogue(), plain = dialogue();
      instructed.kept[1].follows = chosen;
      plain.kept[1] = answer(1, "the dog", rejected);
      PreferenceCounts counts;
      preference_lines({instructed}, {plain}, c, small_tokenizer(), counts);
      EXPECT_EQ(counts.pairs, chosen && !rejected ? 1 : 0);
      EXPECT_EQ(counts.compared, 1);
    }
  }
  GattDialogue same = dialogue();
  PreferenceCounts counts;
  preference_lines({dialogue()}, {same}, config(), small_tokenizer(), counts);
  EXPECT_EQ(counts.pairs, 0);
}

TEST(GattDialogues, RepeatWithOtherInstructionsAndNameBadLines) {
  const TemporaryDirectory directory;
  GattConfig c = config();
  c.gatt.source = "file";
  c.gatt.dialogues = {directory / "d.jsonl"};
  c.gatt.repeats = 50;
  c.gatt.max_turns = 1;
  std::ofstream(directory / "d.jsonl")
      << R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},)"
      << R"( {"role": "user", "content": "c"}]})"
      << "\n{\"messages\": []}\n";
  const std::vector<GattInstruction> two = {{"one", "", {}, {}}, {"two", "", {}, {}}};
  try {
    read_dialogues(c, two);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("d.jsonl:2"), std::string::npos) << error.what();
  }
  c.data.skip_bad_lines = true;
  const DialogueFiles files = read_dialogues(c, two);
  EXPECT_EQ(files.skipped, 1);
  ASSERT_EQ(files.dialogues.size(), 50u);
  int ones = 0;
  for (uint32_t i = 0; i < 50; ++i) {
    EXPECT_EQ(files.dialogues[i].number, i);
    EXPECT_EQ(files.dialogues[i].said.turns.size(), 1u);
    ones += files.dialogues[i].said.long_form == "one";
  }
  EXPECT_GT(ones, 7);  // five deviations of 3.5
  EXPECT_LT(ones, 43);
}

}  // namespace
}  // namespace cria
