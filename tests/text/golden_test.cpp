// Token ids against SentencePiece's own and Meta's reference (tests/golden/tokenizer_fixtures.py).
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include <gtest/gtest.h>

#include "cria/text/chat_template.h"

#include "support/places.h"

namespace cria {
namespace {

const std::string kGolden = testing::source_path("tests/golden/");

nlohmann::json golden(const std::string& name) {
  std::ifstream file(kGolden + name);
  return nlohmann::json::parse(file);
}

TEST(GoldenTokenizer, EncodesAndDecodesAsSentencePiece) {
  const Tokenizer tokenizer(kGolden + "tokenizer.model");
  const nlohmann::json cases = golden("tokenizer_cases.json");
  ASSERT_GE(cases.size(), 20u);
  for (const auto& one : cases) {
    const std::string text = one.at("text");
    const std::vector<int32_t> ids = tokenizer.encode(text);
    EXPECT_EQ(ids, one.at("ids").get<std::vector<int32_t>>()) << text;
    EXPECT_EQ(tokenizer.decode(ids), one.at("decoded")) << text;
  }
}

TEST(GoldenChatTemplate, TokenForTokenAsMeta) {
  const Tokenizer tokenizer(kGolden + "tokenizer.model");
  const nlohmann::json cases = golden("chat_template.json");
  ASSERT_GE(cases.size(), 12u);
  for (const auto& one : cases) {
    std::vector<Message> messages;
    for (const auto& message : one.at("messages")) {
      messages.push_back({message.at("role"), message.at("content")});
    }
    const EncodedText encoded = encode_dialogue(tokenizer, messages);
    EXPECT_EQ(encoded.ids, one.at("ids").get<std::vector<int32_t>>()) << one.at("name");
    // Answers end in their eos; nothing else does.
    for (size_t i = 0; i < encoded.ids.size(); ++i) {
      const int32_t segment = encoded.segments[i];
      const bool ends_answer = segment != kMarker && messages[segment].role == "assistant" &&
                               (i + 1 == encoded.ids.size() || encoded.segments[i + 1] != segment);
      EXPECT_EQ(encoded.ids[i] == tokenizer.eos_id(), ends_answer) << one.at("name");
    }
  }
}

}  // namespace
}  // namespace cria
