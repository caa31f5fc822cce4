#include "cria/data/ghost_attention.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "cria/core/error.h"
#include "cria/data/packed_batch.h"

#include "text/small_tokenizer.h"

namespace cria {
namespace {

constexpr const char* kOneTurn = R"({"instruction": "be kind and short", "short": "be kind",
    "messages": [{"role": "user", "content": "hello"},
                 {"role": "assistant", "content": "good day"}]})";
constexpr const char* kThreeTurns = R"({"instruction": "be kind and short", "short": "be kind",
    "messages": [{"role": "system", "content": "answer the question"},
                 {"role": "user", "content": "hello"},
                 {"role": "assistant", "content": "good day"},
                 {"role": "user", "content": "who sat on the mat"},
                 {"role": "assistant", "content": "the cat"},
                 {"role": "user", "content": "what is the colour of the cat"},
                 {"role": "assistant", "content": "black"}]})";

InstructedDialogue dialogue_of(const std::string& line) {
  return parse_instructed_dialogue(nlohmann::json::parse(line), "f:3");
}

// The tokens of texts, each with a bos before it, and an eos after all that `ends`.
std::vector<int32_t> tokens_of(const std::vector<std::string>& texts, bool last_ends) {
  const Tokenizer& tokenizer = small_tokenizer();
  std::vector<int32_t> ids;
  for (size_t i = 0; i < texts.size(); ++i) {
    ids.push_back(tokenizer.bos_id());
    for (const int32_t id : tokenizer.encode(texts[i])) ids.push_back(id);
    if (last_ends || i + 1 < texts.size()) ids.push_back(tokenizer.eos_id());
  }
  return ids;
}

std::vector<int32_t> prompt(const InstructedDialogue& dialogue, const InstructionUse& use) {
  return ghost_prompt(dialogue, dialogue.turns.size() - 1, use, small_tokenizer())->example.ids;
}

Example example(const InstructedDialogue& dialogue, const InstructionUse& use) {
  return ghost_example(dialogue, dialogue.turns.size() - 1, use, small_tokenizer())->example;
}

// Labels are the last answer, as many tokens as it has alone, and nothing before.
void expect_learnt(const Example& example, const std::string& answer) {
  std::vector<int32_t> learnt;
  size_t first = example.ids.size();
  for (size_t i = example.ids.size(); i-- > 0;) {
    if (example.weight(i) > 0) first = i;
  }
  for (size_t i = 0; i < example.ids.size(); ++i) {
    EXPECT_EQ(example.labels[i], i < first ? kNoLabel : example.ids[i]) << i;
    EXPECT_EQ(example.weight(i), i < first ? 0.0f : 1.0f) << i;
    if (i >= first) learnt.push_back(example.ids[i]);
  }
  ASSERT_FALSE(learnt.empty());
  EXPECT_EQ(learnt.back(), small_tokenizer().eos_id());
  EXPECT_EQ(small_tokenizer().decode(learnt), answer + " ");
}

constexpr InstructionUse kSampling{.turns = InstructedTurns::every};
constexpr InstructionUse kTraining{.turns = InstructedTurns::first};
constexpr InstructionUse kShortTraining{.turns = InstructedTurns::first, .short_form = true};

TEST(GhostAttention, OneTurn) {
  const InstructedDialogue dialogue = dialogue_of(kOneTurn);
  EXPECT_EQ(prompt(dialogue, kSampling),
            tokens_of({"[INST] be kind and short hello [/INST]"}, false));
  const Example whole = example(dialogue, kTraining);
  EXPECT_EQ(whole.ids, tokens_of({"[INST] be kind and short hello [/INST] good day "}, true));
  expect_learnt(whole, "good day");
  const Example short_form = example(dialogue, kShortTraining);
  EXPECT_EQ(short_form.ids, tokens_of({"[INST] be kind hello [/INST] good day "}, true));
  expect_learnt(short_form, "good day");
}

TEST(GhostAttention, ThreeTurnsBehindASystemMessage) {
  const InstructedDialogue dialogue = dialogue_of(kThreeTurns);
  const std::string system = "<<SYS>>\nanswer the question\n<</SYS>>\n\n";
  EXPECT_EQ(prompt(dialogue, kSampling),
            tokens_of({"[INST] " + system + "be kind and short hello [/INST] good day ",
                       "[INST] be kind and short who sat on the mat [/INST] the cat ",
                       "[INST] be kind and short what is the colour of the cat [/INST]"},
                      false));
  const Example whole = example(dialogue, kTraining);
  EXPECT_EQ(whole.ids, tokens_of({"[INST] " + system + "be kind and short hello [/INST] good day ",
                                  "[INST] who sat on the mat [/INST] the cat ",
                                  "[INST] what is the colour of the cat [/INST] black "},
                                 true));
  expect_learnt(whole, "black");
  const Example short_form = example(dialogue, kShortTraining);
  EXPECT_EQ(short_form.ids, tokens_of({"[INST] " + system + "be kind hello [/INST] good day ",
                                       "[INST] who sat on the mat [/INST] the cat ",
                                       "[INST] what is the colour of the cat [/INST] black "},
                                      true));
}

TEST(GhostAttention, AsTheSystemMessage) {
  InstructedDialogue dialogue = dialogue_of(kThreeTurns);
  dialogue.turns.resize(2);
  const std::string both = "<<SYS>>\nbe kind and short answer the question\n<</SYS>>\n\n";
  const std::string instruction = "<<SYS>>\nbe kind and short\n<</SYS>>\n\n";
  EXPECT_EQ(prompt(dialogue, {.turns = InstructedTurns::every, .placement = Placement::system}),
            tokens_of({"[INST] " + both + "hello [/INST] good day ",
                       "[INST] " + instruction + "who sat on the mat [/INST]"},
                      false));
  EXPECT_EQ(example(dialogue, {.placement = Placement::system}).ids,
            tokens_of({"[INST] " + both + "hello [/INST] good day ",
                       "[INST] who sat on the mat [/INST] the cat "},
                      true));
  dialogue.system.clear();
  EXPECT_EQ(example(dialogue, {.short_form = true, .placement = Placement::system}).ids,
            tokens_of({"[INST] <<SYS>>\nbe kind\n<</SYS>>\n\nhello [/INST] good day ",
                       "[INST] who sat on the mat [/INST] the cat "},
                      true));
}

// An example may end at an earlier turn, and a dialogue may go without its instruction.
TEST(GhostAttention, EveryTurnCanBeTheLast) {
  const InstructedDialogue dialogue = dialogue_of(kThreeTurns);
  const Example second = ghost_example(dialogue, 1, kTraining, small_tokenizer())->example;
  expect_learnt(second, "the cat");
  const Example whole = example(dialogue, kTraining);
  EXPECT_EQ(std::vector<int32_t>(whole.ids.begin(), whole.ids.begin() + second.ids.size()),
            second.ids);
  InstructedDialogue one = dialogue_of(kOneTurn);
  EXPECT_EQ(prompt(one, {.turns = InstructedTurns::none}),
            tokens_of({"[INST] hello [/INST]"}, false));
}

TEST(GhostAttention, KnowsWhereTheAnswersStand) {
  InstructedDialogue dialogue = dialogue_of(kThreeTurns);
  const Tokenizer& tokenizer = small_tokenizer();
  dialogue.turns[1].answer_ids = {tokenizer.encode("a dog").front()};  // cut short: an eos follows
  using Texts = std::vector<std::pair<size_t, std::string>>;
  const auto texts = [&](const GhostSequence& sequence) {
    Texts found;
    for (const AnswerSpan& answer : sequence.answers) {
      const auto ids =
          std::span(sequence.example.ids).subspan(answer.begin, answer.end - answer.begin);
      EXPECT_EQ(ids.back(), tokenizer.eos_id());
      found.emplace_back(answer.turn, tokenizer.decode(ids));
    }
    return found;
  };
  const std::string cut = tokenizer.decode(dialogue.turns[1].answer_ids);
  const GhostSequence whole = *ghost_example(dialogue, 2, kTraining, tokenizer);
  EXPECT_EQ(texts(whole), (Texts{{0, "good day "}, {1, cut}, {2, "black "}}));
  EXPECT_EQ(texts(*ghost_prompt(dialogue, 2, kTraining, tokenizer)),
            (Texts{{0, "good day "}, {1, cut}}));
  // Without room for all, those of the turns that stayed.
  const auto room = static_cast<int64_t>(whole.example.ids.size()) - 1;
  EXPECT_EQ(texts(*ghost_example(dialogue, 2, kTraining, tokenizer, room)),
            (Texts{{0, "good day "}, {2, "black "}}));
}

TEST(GhostAttention, AnotherEarlierAnswerChangesNoWeightOfAnything) {
  InstructedDialogue dialogue = dialogue_of(kThreeTurns);
  const Example before = example(dialogue, kTraining);
  dialogue.turns[1].answer = "the dog sat on the rug";
  const Example after = example(dialogue, kTraining);
  EXPECT_NE(before.ids, after.ids);
  expect_learnt(before, "black");
  expect_learnt(after, "black");
  const PackedBatch packs[] = {pack(std::vector<Example>{before}),
                               pack(std::vector<Example>{after})};
  EXPECT_EQ(packs[0].weight_sum(), packs[1].weight_sum());
}

// Ids that no encoding of their text gives: they stay what they are.
TEST(GhostAttention, SampledAnswersStayTheIdsThatWereSampled) {
  const Tokenizer& tokenizer = small_tokenizer();
  InstructedDialogue dialogue = dialogue_of(kThreeTurns);
  std::vector<int32_t> letters;
  for (const char* letter : {"b", "l", "a", "c", "k"}) {
    letters.push_back(tokenizer.encode(letter).back());
  }
  std::vector<int32_t> ended = letters;
  ended.push_back(tokenizer.eos_id());
  dialogue.turns[0].answer_ids = letters;  // cut short
  dialogue.turns[2].answer_ids = ended;
  const Example whole = example(dialogue, kTraining);
  EXPECT_TRUE(std::equal(ended.rbegin(), ended.rend(), whole.ids.rbegin()));
  EXPECT_EQ(std::vector<int32_t>(whole.labels.end() - 6, whole.labels.end()), ended);
  EXPECT_EQ(whole.labels[whole.labels.size() - 7], kNoLabel);
  const auto eos = std::find(whole.ids.begin(), whole.ids.end(), tokenizer.eos_id());
  EXPECT_EQ(std::vector<int32_t>(eos - 5, eos), letters);
  EXPECT_EQ(std::count(whole.ids.begin(), whole.ids.end(), tokenizer.eos_id()), 3);
}

TEST(GhostAttention, WhenTheContextIsFullTheFirstTurnStaysAndTheOldestOthersGo) {
  const int64_t lengths[] = {10, 20, 30, 5, 7};
  EXPECT_EQ(first_kept_turn(lengths, 72), 1u);
  EXPECT_EQ(first_kept_turn(lengths, 71), 2u);
  EXPECT_EQ(first_kept_turn(lengths, 52), 2u);
  EXPECT_EQ(first_kept_turn(lengths, 51), 3u);
  EXPECT_EQ(first_kept_turn(lengths, 22), 3u);
  EXPECT_EQ(first_kept_turn(lengths, 21), 4u);
  EXPECT_EQ(first_kept_turn(lengths, 17), 4u);
  EXPECT_EQ(first_kept_turn(lengths, 16), std::nullopt);
  EXPECT_EQ(first_kept_turn(std::span(lengths, 1), 10), 1u);
  EXPECT_EQ(first_kept_turn(std::span(lengths, 1), 9), std::nullopt);

  const InstructedDialogue dialogue = dialogue_of(kThreeTurns);
  const auto whole = ghost_example(dialogue, 2, kTraining, small_tokenizer());
  EXPECT_EQ(whole->dropped, 0u);
  const auto cut = ghost_example(dialogue, 2, kTraining, small_tokenizer(),
                                 static_cast<int64_t>(whole->example.ids.size()) - 1);
  EXPECT_EQ(cut->dropped, 1u);
  EXPECT_EQ(cut->example.ids,
            tokens_of({"[INST] <<SYS>>\nanswer the question\n<</SYS>>\n\nbe kind and short hello "
                       "[/INST] good day ",
                       "[INST] what is the colour of the cat [/INST] black "},
                      true));
  expect_learnt(cut->example, "black");
  EXPECT_FALSE(ghost_prompt(dialogue, 2, kTraining, small_tokenizer(), 12));
}

TEST(GhostAttention, BadLinesAreNamedWithTheirField) {
  const auto expect_refused = [](const std::string& line, const std::string& part) {
    try {
      example(dialogue_of(line), kTraining);
      FAIL() << line;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("f:3"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  const auto catching = [](const std::string& line, const std::string& part) {
    try {
      const InstructedDialogue dialogue = dialogue_of(line);
      (void)ghost_example(dialogue, dialogue.turns.size() - 1, kTraining, small_tokenizer(),
                          kNoBound, "f:3");
      FAIL() << line;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  expect_refused(R"({"messages": [{"role": "user", "content": "a"}]})", "'instruction'");
  expect_refused(R"({"messages": [{"role": "user", "content": "a"}], "instruction": " "})",
                 "'instruction'");
  expect_refused(R"({"messages": [{"role": "user", "content": "a"}], "instruction": 3})",
                 "'instruction'");
  expect_refused(R"({"instruction": "b"})", "'messages'");
  expect_refused(R"({"messages": [{"role": "assistant", "content": "a"}], "instruction": "b"})",
                 "role");
  catching(R"({"messages": [{"role": "user", "content": "a"}], "instruction": "b"})",
           "turn 1 has no answer");
}

}  // namespace
}  // namespace cria
