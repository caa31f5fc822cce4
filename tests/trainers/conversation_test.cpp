#include "trainers/conversation.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "support/places.h"
#include "trainers/terminal.h"

namespace cria {

namespace {

class ConversationTest : public ::testing::Test {
 protected:
  const Tokenizer tokenizer{testing::source_path("tests/golden/tokenizer.model")};
  Conversation conversation{tokenizer};

  // An answer as the chat format has it: its text with a space at the end, then eos.
  std::vector<int32_t> answer_ids(const std::string& text) const {
    const std::vector<Message> turn = {{"user", "x"}, {"assistant", text}};
    const EncodedText encoded = encode_dialogue(tokenizer, turn);
    std::vector<int32_t> ids;
    for (size_t i = 0; i < encoded.ids.size(); ++i) {
      if (encoded.segments[i] == 1) ids.push_back(encoded.ids[i]);
    }
    return ids;
  }
  std::vector<int32_t> add(const std::string& text, const std::vector<int32_t>& answer) {
    const std::vector<int32_t> prompt = conversation.prompt_for(text);
    conversation.add_turn(text, prompt, answer);
    return prompt;
  }
};

TEST_F(ConversationTest, PromptsAreThoseOfTheWholeDialogue) {
  conversation.restart("Be brief.");
  std::vector<Message> messages = {{"system", "Be brief."}};
  for (const std::string text : {" Hello! ", "What colour is the sky?", "And the sea?"}) {
    messages.push_back({"user", text});
    EXPECT_EQ(add(text, answer_ids("It is blue.")), encode_dialogue(tokenizer, messages).ids);
    messages.push_back({"assistant", "It is blue."});
  }
}

// "It" in pieces that no encoding would choose must come back as it was sampled.
TEST_F(ConversationTest, AnswersStayTheIdsThatWereSampled) {
  std::vector<int32_t> sampled;
  for (const char letter : std::string(" It")) {
    sampled.push_back(tokenizer.encode(std::string("x") + letter).back());
  }
  sampled.push_back(tokenizer.eos_id());
  ASSERT_NE(sampled, answer_ids("It"));
  std::vector<int32_t> expected = add("Hi", sampled);
  expected.insert(expected.end(), sampled.begin(), sampled.end());
  const std::vector<int32_t> next = conversation.prompt_for("Go on");
  EXPECT_EQ(std::vector<int32_t>(next.begin(),
                                 next.begin() + static_cast<std::ptrdiff_t>(expected.size())),
            expected);
}

TEST_F(ConversationTest, AnAnswerCutShortGetsAnEos) {
  std::vector<int32_t> answer = answer_ids("It is blue.");
  answer.resize(2);
  const size_t prompt_size = add("Hi", answer).size();
  EXPECT_EQ(conversation.prompt_for("Go on")[prompt_size + 2], tokenizer.eos_id());
}

TEST_F(ConversationTest, IsSavedAsMessages) {
  EXPECT_TRUE(conversation.empty());
  conversation.restart("Be \"brief\".");
  add("  caf\u00e9? ", answer_ids("\u00c7a va.\nYes."));
  EXPECT_FALSE(conversation.empty());
  EXPECT_EQ(conversation.json_line(),
            "{\"messages\":[{\"role\":\"system\",\"content\":\"Be \\\"brief\\\".\"},"
            "{\"role\":\"user\",\"content\":\"caf\u00e9?\"},"
            "{\"role\":\"assistant\",\"content\":\"\u00c7a va.\\nYes.\"}]}\n");
  conversation.restart("");
  EXPECT_TRUE(conversation.empty());
  add("x", answer_ids("y"));
  EXPECT_EQ(nlohmann::json::parse(conversation.json_line())["messages"].size(), 2u);
}

TEST(Terminal, ControlCharactersAreNotPrintable) {
  EXPECT_EQ(printable("a\tb\nc \u00e9\u00a0\U0001F600"), "a\tb\nc \u00e9\u00a0\U0001F600");
  EXPECT_EQ(printable("\x1b[2J\x07\x7f\r"), "\uFFFD[2J\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(printable("a\u009b2Jb\u0080"), "a\uFFFD2Jb\uFFFD");
}

}  // namespace

}  // namespace cria
