#include "cria/demo_world/instructions.h"

#include <set>

#include <gtest/gtest.h>

#include "cria/core/error.h"
#include "cria/demo_world/checker.h"

namespace cria::demo {
namespace {

const World kWorld(3);

std::string instructed(const std::vector<Instruction>& instructions, std::string answer) {
  for (const Instruction& instruction : instructions) {
    answer = with_instruction(instruction, answer);
  }
  return answer;
}

TEST(Instructions, EachIsFollowedAndNotByOthers) {
  const auto all = all_instructions(kWorld, Split::held_out);
  for (const Instruction& given : all) {
    EXPECT_FALSE(follows(given, "red.")) << given.long_form;
    EXPECT_FALSE(follows(given, "")) << given.long_form;
    for (const Instruction& other : all) {
      const std::string answer = with_instruction(other, "red.");
      const bool same = given.long_form == other.long_form;
      EXPECT_EQ(follows(given, answer), same) << given.long_form << " " << answer;
      EXPECT_EQ(follows(name_of(given.kind), given.value, answer), same);
    }
  }
}

TEST(Instructions, TwoAtOnceAreBothFollowedAndTheAnswerStaysRight) {
  bool two = false;
  for (uint64_t i = 0; i < 500; ++i) {
    Choices choices(1, 0, i);
    const auto drawn = draw_instructions(kWorld, Split::held_out, choices);
    two = two || drawn.size() == 2;
    const Question question = ask(Kind::colour, kWorld, Split::held_out, choices);
    const std::string answer = instructed(drawn, question.answer + ".");
    for (const Instruction& instruction : drawn) {
      EXPECT_TRUE(follows(instruction, answer)) << instruction.long_form << " " << answer;
    }
    EXPECT_TRUE(judge(question, answer).right()) << answer;
  }
  EXPECT_TRUE(two);
}

TEST(Instructions, CaseAndSpaceDoNotMatter) {
  EXPECT_TRUE(follows("persona", "pirate", " ARR, it is red. "));
  EXPECT_TRUE(follows("format", "brackets", " (red.) "));
  EXPECT_FALSE(follows("format", "brackets", "(red.) yes"));
  EXPECT_FALSE(follows("language", "Latin", "red est."));
  EXPECT_FALSE(follows("persona", "pirate", "I am a pirate."));
  EXPECT_FALSE(follows("persona", "pirate", "carry"));
  EXPECT_THROW(follows("weather", "sunny", "red."), Error);
  EXPECT_THROW(follows("persona", "plumber", "red."), Error);
}

TEST(Instructions, TrainingNeverSeesHeldOutKinds) {
  std::set<InstructionKind> trained, tested;
  for (uint64_t i = 0; i < 1000; ++i) {
    Choices choices(1, 0, i);
    for (const auto& one : draw_instructions(kWorld, Split::training, choices)) {
      trained.insert(one.kind);
    }
    for (const auto& one : draw_instructions(kWorld, Split::held_out, choices)) {
      tested.insert(one.kind);
    }
  }
  EXPECT_EQ(trained.size(), 4u);
  EXPECT_EQ(tested.size(), 6u);
  for (const InstructionKind kind : trained) EXPECT_FALSE(is_held_out(kind));
}

TEST(Instructions, ShortFormsAreShorter) {
  for (const Instruction& instruction : all_instructions(kWorld, Split::training)) {
    EXPECT_LT(instruction.short_form.size(), instruction.long_form.size());
    EXPECT_NE(instruction.short_form.find(instruction.value), std::string::npos);
  }
}

TEST(Dialogues, EveryTurnAsksAboutAnotherThing) {
  for (const Split split : {Split::training, Split::held_out}) {
    Choices choices(1, 0, 0);
    const Dialogue dialogue = draw_dialogue(24, kWorld, split, choices);
    std::set<std::string> things;
    for (const Question& question : dialogue.questions) things.insert(question.sentence);
    EXPECT_EQ(things.size(), 24u);
  }
}

}  // namespace
}  // namespace cria::demo
