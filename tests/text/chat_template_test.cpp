#include "cria/text/chat_template.h"

#include <string>

#include <gtest/gtest.h>

#include "cria/core/error.h"

#include "text/small_tokenizer.h"

namespace cria {
namespace {

std::vector<int32_t> operator+(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// The reference, line by line as in llama/generation.py, with stripping left to the caller.
std::vector<int32_t> pair_ids(const std::string& user, const std::string& answer) {
  const std::string text = "[INST] " + user + " [/INST] " + answer + " ";
  return std::vector<int32_t>{1} + small_tokenizer().encode(text) + std::vector<int32_t>{2};
}
std::vector<int32_t> open_ids(const std::string& user) {
  return std::vector<int32_t>{1} + small_tokenizer().encode("[INST] " + user + " [/INST]");
}

std::string text_of(const EncodedText& encoded, int32_t segment) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < encoded.ids.size(); ++i) {
    if (encoded.segments[i] == segment) ids.push_back(encoded.ids[i]);
  }
  return small_tokenizer().decode(ids);
}

TEST(ChatTemplate, OneToThreeTurnsWithAndWithoutSystem) {
  const std::vector<Message> turns = {
      {"user", "who sat on the mat"},    {"assistant", "the cat"}, {"user", "what colour?"},
      {"assistant", "black\nand white"}, {"user", "good day"},     {"assistant", "hello world"}};
  const std::string system = "be kind\nand short";
  for (const bool with_system : {false, true}) {
    for (size_t count = 1; count <= turns.size(); ++count) {
      std::vector<Message> messages(turns.begin(), turns.begin() + count);
      std::vector<int32_t> expected;
      for (size_t i = 0; i < count; i += 2) {
        const std::string front =
            with_system && i == 0 ? "<<SYS>>\n" + system + "\n<</SYS>>\n\n" : "";
        const std::string user = front + turns[i].content;
        expected =
            expected + (i + 1 < count ? pair_ids(user, turns[i + 1].content) : open_ids(user));
      }
      if (with_system) messages.insert(messages.begin(), {"system", system});
      const EncodedText encoded = encode_dialogue(small_tokenizer(), messages);
      EXPECT_EQ(encoded.ids, expected) << count << " messages, system " << with_system;
      EXPECT_EQ(encoded.segments.size(), encoded.ids.size());
      // One bos a pair, never doubled.
      EXPECT_EQ(std::count(encoded.ids.begin(), encoded.ids.end(), 1),
                static_cast<int>(count + 1) / 2);
    }
  }
}

TEST(ChatTemplate, StripsAsTheReference) {
  const std::vector<Message> messages = {{"user", "\n the cat \u00a0"}, {"assistant", "  sat\t"}};
  EXPECT_EQ(encode_dialogue(small_tokenizer(), messages).ids, pair_ids("the cat", "sat"));

  // The folded message is stripped as a whole: the system message's own ends stay, the white space
  // after the closing marker goes when the user says nothing.
  const std::vector<Message> folded = {{"system", " be kind "}, {"user", "\n hello "}};
  EXPECT_EQ(encode_dialogue(small_tokenizer(), folded).ids,
            open_ids("<<SYS>>\n be kind \n<</SYS>>\n\n\n hello"));
  const std::vector<Message> silent = {{"system", "be kind"}, {"user", "  "}};
  EXPECT_EQ(encode_dialogue(small_tokenizer(), silent).ids, open_ids("<<SYS>>\nbe kind\n<</SYS>>"));
}

TEST(ChatTemplate, SegmentsAreTheMessages) {
  const std::vector<Message> messages = {{"system", "be kind"},
                                         {"user", "what is the colour"},
                                         {"assistant", "it is black"},
                                         {"user", "good"},
                                         {"assistant", "hello world"}};
  const EncodedText encoded = encode_dialogue(small_tokenizer(), messages);
  EXPECT_EQ(text_of(encoded, 0), "be kind");
  EXPECT_EQ(text_of(encoded, 1), "what is the colour");
  EXPECT_EQ(text_of(encoded, 2), "it is black ");  // with the space and the eos that end it
  EXPECT_EQ(text_of(encoded, 3), "good");
  EXPECT_EQ(text_of(encoded, 4), "hello world ");
  EXPECT_EQ(encoded.ids.back(), small_tokenizer().eos_id());
  EXPECT_EQ(encoded.segments.back(), 4);
  for (size_t i = 0; i < encoded.ids.size(); ++i) {
    if (encoded.ids[i] == 1) {
      EXPECT_EQ(encoded.segments[i], kMarker);
    } else if (encoded.ids[i] == 2) {
      EXPECT_EQ(messages[encoded.segments[i]].role, "assistant");
    }
  }
}

// The answer repeats the question, its markers and the markers of the format: no search for text
// could tell them apart.
TEST(ChatTemplate, SegmentsDoNotComeFromSearching) {
  const std::string tricky = "[INST] hello [/INST] hello </s><s> <<SYS>>";
  const std::vector<Message> messages = {{"user", tricky}, {"assistant", tricky}};
  const EncodedText encoded = encode_dialogue(small_tokenizer(), messages);
  EXPECT_EQ(encoded.ids, pair_ids(tricky, tricky));
  EXPECT_EQ(text_of(encoded, 0), tricky);
  EXPECT_EQ(text_of(encoded, 1), tricky + " ");
  EXPECT_EQ(std::count(encoded.ids.begin(), encoded.ids.end(), 1), 1);
  EXPECT_EQ(std::count(encoded.ids.begin(), encoded.ids.end(), 2), 1);
}

TEST(ChatTemplate, CharactersInBytesStayInTheirSegment) {
  const std::vector<Message> messages = {{"user", "\u65e5\u672c"}, {"assistant", "\U0001F600"}};
  const EncodedText encoded = encode_dialogue(small_tokenizer(), messages);
  EXPECT_EQ(text_of(encoded, 0), "\u65e5\u672c");
  // The space in front, four bytes, the space behind and the eos.
  EXPECT_EQ(std::count(encoded.segments.begin(), encoded.segments.end(), 1), 1 + 4 + 1 + 1);
}

// A tokenizer has " it" as one token, and the space before a digit or an unknown character as one
// of its own: whatever comes after the prompt has to be generated, so it has to be learnt.
TEST(ChatTemplate, AnAnswerIsAllThatIsGenerated) {
  for (const char* answer : {"it is black", "6.", "42", "\U0001F600", "</s>", "(no)"}) {
    const std::vector<Message> messages = {{"user", "what is it"}, {"assistant", answer}};
    const EncodedText encoded = encode_dialogue(small_tokenizer(), messages);
    const std::vector<int32_t> prompt = open_ids("what is it");
    ASSERT_EQ(std::vector<int32_t>(encoded.ids.begin(), encoded.ids.begin() + prompt.size()),
              prompt);
    for (size_t i = 0; i < encoded.ids.size(); ++i) {
      EXPECT_EQ(encoded.segments[i] == 1, i >= prompt.size()) << answer << ", token " << i;
    }
  }
}

TEST(ChatTemplate, RolesOutOfOrderAreErrors) {
  const auto message_of = [](const std::vector<Message>& messages) -> std::string {
    try {
      encode_dialogue(small_tokenizer(), messages, "f.jsonl:7");
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 2);
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message_of({}).find("f.jsonl:7"), std::string::npos);
  EXPECT_NE(message_of({{"system", "s"}}).find("system"), std::string::npos);
  EXPECT_NE(message_of({{"assistant", "a"}}).find("message 0"), std::string::npos);
  EXPECT_NE(message_of({{"user", "u"}, {"user", "u"}}).find("message 1"), std::string::npos);
  EXPECT_NE(message_of({{"user", "u"}, {"system", "s"}}).find("'system'"), std::string::npos);
  EXPECT_NE(message_of({{"system", "s"}, {"system", "s"}, {"user", "u"}}), "");
  EXPECT_NE(message_of({{"tool", "s"}}).find("'tool'"), std::string::npos);
}

// "ab" + "c" is one token when encoded as one: it belongs to the completion.
TEST(Completion, StraddlingTokensBelongToTheLaterSegment) {
  const Tokenizer& tokenizer = small_tokenizer();
  const std::vector<int32_t> whole = tokenizer.encode("xabcx");
  const EncodedText encoded = encode_completion(tokenizer, "xab", "", "cx");
  EXPECT_EQ(encoded.ids, std::vector<int32_t>{1} + whole + std::vector<int32_t>{2});

  // Its token for the boundary really straddles, or this test shows nothing.
  bool straddles = false;
  const std::vector<TokenSpan> spans = tokenizer.encode_spans("xabcx");
  for (size_t i = 0; i < spans.size(); ++i) {
    straddles |= spans[i].begin < 3 && spans[i].end > 3;
    EXPECT_EQ(encoded.segments[i + 1], spans[i].end > 3 ? 1 : 0);
  }
  EXPECT_TRUE(straddles);
  EXPECT_EQ(encoded.segments.front(), kMarker);
  EXPECT_EQ(encoded.segments.back(), 1);
}

TEST(Completion, PromptSeparatorCompletion) {
  const Tokenizer& tokenizer = small_tokenizer();
  const EncodedText encoded = encode_completion(tokenizer, "the cat", "\n", "sat");
  EXPECT_EQ(encoded.ids,
            std::vector<int32_t>{1} + tokenizer.encode("the cat\nsat") + std::vector<int32_t>{2});
  EXPECT_EQ(text_of(encoded, 0), "the cat");
  EXPECT_EQ(text_of(encoded, 1), "sat");
  EXPECT_EQ(std::count(encoded.segments.begin(), encoded.segments.end(), kMarker), 2);

  const std::vector<int32_t> prompt = encode_prompt(tokenizer, "the cat", "\n");
  EXPECT_EQ(prompt, std::vector<int32_t>(encoded.ids.begin(), encoded.ids.begin() + prompt.size()));
}

TEST(Completion, EmptyPartsAreAllowed) {
  const EncodedText encoded = encode_completion(small_tokenizer(), "", "", "");
  EXPECT_EQ(encoded.ids, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(encode_prompt(small_tokenizer(), ""), std::vector<int32_t>{1});
}

TEST(AnthropicDialogue, TurnsAreMessages) {
  const std::vector<Message> expected = {{"user", "hello"},
                                         {"assistant", "good day\n\nHumans: none"},
                                         {"user", "who?"},
                                         {"assistant", ""}};
  EXPECT_EQ(parse_anthropic_dialogue("\n\nHuman: hello\n\nAssistant: good day\n\nHumans: none\n\n"
                                     "Human: who?\n\nAssistant:",
                                     "f:1"),
            expected);
  EXPECT_TRUE(is_anthropic_dialogue("\n\nHuman: x"));
  EXPECT_FALSE(is_anthropic_dialogue("Human: x"));
  EXPECT_THROW(parse_anthropic_dialogue("Human: x", "f:1"), Error);
}

}  // namespace
}  // namespace cria
