#include "trainers/gatt/attention_picture.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "text/small_tokenizer.h"

namespace cria {
namespace {

InstructedDialogue small_dialogue() {
  return {.system = "answer the question",
          .turns = {{.user = "hello", .answer = "good day", .answer_ids = {}},
                    {.user = "who sat on the mat", .answer = "the cat", .answer_ids = {}}},
          .long_form = "be kind and short",
          .short_form = {}};
}

TEST(AttentionPicture, FindsTheInstructionInEitherPlace) {
  const Tokenizer& tokenizer = small_tokenizer();
  const InstructedDialogue dialogue = small_dialogue();
  for (const Placement placement : {Placement::user, Placement::system}) {
    const TokenBin found = instruction_tokens(dialogue, placement, tokenizer);
    const std::vector<int32_t> ids =
        ghost_prompt(dialogue, 0, {.placement = placement}, tokenizer)->example.ids;
    const std::string text =
        tokenizer.decode(std::span(ids).subspan(found.begin, found.end - found.begin));
    EXPECT_EQ(text, "be kind and short");
  }
  // Neither words that it has in common with the question move it, nor a missing system message.
  InstructedDialogue same = dialogue;
  same.system.clear();
  same.long_form = "hello the hello";
  for (const Placement placement : {Placement::user, Placement::system}) {
    const TokenBin found = instruction_tokens(same, placement, tokenizer);
    const std::vector<int32_t> ids =
        ghost_prompt(same, 0, {.placement = placement}, tokenizer)->example.ids;
    EXPECT_EQ(tokenizer.decode(std::span(ids).subspan(found.begin, found.end - found.begin)),
              "hello the hello");
  }
}

// Two answers, of tokens 4-6 and 8-9, in a sequence of ten.
GhostSequence small_sequence() {
  GhostSequence sequence;
  sequence.example.ids.resize(10);
  sequence.answers = {{.turn = 0, .begin = 4, .end = 7}, {.turn = 5, .begin = 8, .end = 10}};
  return sequence;
}

TEST(AttentionPicture, AnAnswersTokensWerePredictedByTheRowsBeforeThem) {
  EXPECT_EQ(generating_rows(small_sequence().answers), (std::vector<int32_t>{3, 4, 5, 7, 8}));
}

TEST(AttentionPicture, BinsHaveTheLargestWeightAndNoBinSpansTwoAnswers) {
  std::vector<float> maxima(5 * 10, 0.01f);
  maxima[0 * 10 + 1] = 0.5f;   // token 4 on token 1
  maxima[1 * 10 + 0] = 0.25f;  // token 5 on token 0
  maxima[2 * 10 + 2] = 0.75f;  // token 6 on token 2
  maxima[4 * 10 + 8] = 0.9f;   // token 9 on token 8
  const AttentionPicture picture =
      attention_picture(small_sequence(), {.begin = 1, .end = 3}, maxima, 2);
  ASSERT_EQ(picture.columns.size(), 5u);
  ASSERT_EQ(picture.rows.size(), 3u);
  EXPECT_EQ(picture.rows[1].begin, 6u);
  EXPECT_EQ(picture.rows[1].end, 7u);
  EXPECT_EQ(picture.rows[2].turn, 5u);
  const std::vector<float> expected = {0.5f,  0.01f, 0.01f, 0.01f, 0.01f, 0.01f, 0.75f, 0.01f,
                                       0.01f, 0.01f, 0.01f, 0.01f, 0.01f, 0.01f, 0.9f};
  EXPECT_EQ(picture.attention, expected);
  // On the instruction, tokens 1 and 2: 0.5, 0.01 and 0.75; nothing of the second answer's.
  ASSERT_EQ(picture.to_instruction.size(), 2u);
  EXPECT_NEAR(picture.to_instruction[0], (0.5 + 0.01 + 0.75) / 3, 1e-7);
  EXPECT_NEAR(picture.to_instruction[1], 0.01, 1e-7);

  const auto json = to_json(picture);
  EXPECT_EQ(json["attention"][1][1].get<float>(), 0.75f);
  EXPECT_EQ(json["rows"][2]["turn"], 6);
  EXPECT_EQ(json["answers"][1]["begin"], 8);
  const std::string table = attention_table({picture});
  EXPECT_NE(table.find("0.420"), std::string::npos) << table;
  EXPECT_NE(table.find("0.010"), std::string::npos) << table;

  // What no token of the row's bin can see stays empty: of the first row all behind token 4, the
  // row that predicts token 5.
  const HeatMap map = attention_heat_map({picture, picture}, 2);
  ASSERT_EQ(map.panels.size(), 2u);
  const HeatPanel& panel = map.panels[0];
  EXPECT_EQ(panel.column_edges, (std::vector<double>{0, 2, 4, 6, 8, 10}));
  const std::vector<bool> seen = {true,  true,  true, false, false, true, true, true,
                                  false, false, true, true,  true,  true, true};
  for (size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(std::isfinite(panel.values[i]), seen[i]) << i;
  EXPECT_EQ(panel.row_labels.size(), 2u);
  EXPECT_EQ(panel.row_labels[1], (std::pair<double, std::string>{2, "6"}));
}

}  // namespace
}  // namespace cria
