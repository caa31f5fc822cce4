#include "cria/text/tokenizer.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "cria/core/error.h"

#include "text/small_tokenizer.h"

namespace cria {
namespace {

TEST(Tokenizer, IdsAreLlamas) {
  const Tokenizer& tokenizer = small_tokenizer();
  EXPECT_EQ(tokenizer.vocab_size(), 400);
  EXPECT_EQ(tokenizer.unk_id(), 0);
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_EQ(tokenizer.pad_id(), -1);
  EXPECT_EQ(tokenizer.piece(1), "<s>");
  EXPECT_EQ(tokenizer.piece(3), "<0x00>");
  EXPECT_EQ(tokenizer.piece(3 + '\n'), "<0x0A>");
}

TEST(Tokenizer, DecodeGivesTheTextBack) {
  const Tokenizer& tokenizer = small_tokenizer();
  for (const std::string text :
       {"the cat", " the  cat ", "two\nlines\n\n", "caf\u00e9 \u65e5\u672c \U0001F600", "", " ",
        "tab\tand\r\n", "4711", "<s> </s> <unk> <0x0A>"}) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
}

TEST(Tokenizer, AddsNoBosAndNoEos) {
  for (const int32_t id : small_tokenizer().encode("the cat sat")) EXPECT_GT(id, 2);
}

TEST(Tokenizer, ControlPiecesInTextStayPlainText) {
  const Tokenizer& tokenizer = small_tokenizer();
  for (const char* text : {"<s>", "</s>", "<unk>", "a </s> b", "</s><s>"}) {
    for (const int32_t id : tokenizer.encode(text)) EXPECT_GT(id, 2) << text;
  }
  const std::vector<int32_t> newline = tokenizer.encode("\n");
  EXPECT_EQ(newline.back(), 3 + '\n');
  EXPECT_NE(tokenizer.encode("<0x0A>"), newline);
}

TEST(Tokenizer, DigitsAreSplit) {
  const std::vector<int32_t> ids = small_tokenizer().encode("1234");
  EXPECT_GE(ids.size(), 4u);
}

TEST(Tokenizer, SpansCoverTheText) {
  const std::string text = "the cat \u65e5\n\n xabcx";
  const std::vector<TokenSpan> spans = small_tokenizer().encode_spans(text);
  std::vector<int32_t> ids;
  int64_t end = 0;
  for (const TokenSpan& span : spans) {
    ids.push_back(span.id);
    EXPECT_EQ(span.begin, end);
    EXPECT_GE(span.end, span.begin);
    end = span.end;
  }
  EXPECT_EQ(end, static_cast<int64_t>(text.size()));
  EXPECT_EQ(ids, small_tokenizer().encode(text));
}

// Long texts are encoded in parts. The spans come from one encoding of the whole.
TEST(Tokenizer, LongTextEncodesAsOne) {
  std::string text;
  for (int i = 0; text.size() < 600'000; ++i) {
    text += "the cat sat  \n\n   on " + std::to_string(i) + " mats \n";
    if (i % 7 == 0) text += " xabcx\u65e5";
  }
  const Tokenizer& tokenizer = small_tokenizer();
  std::vector<int32_t> whole;
  for (const TokenSpan& span : tokenizer.encode_spans(text)) whole.push_back(span.id);
  EXPECT_EQ(tokenizer.encode(text), whole);
  EXPECT_EQ(tokenizer.decode(whole), text);
}

TEST(Tokenizer, TextThatIsNotUtf8IsAnError) {
  EXPECT_THROW(small_tokenizer().encode("ab\xff"), Error);
  EXPECT_THROW(small_tokenizer().encode_spans("\xed\xa0\x80"), Error);
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreAnError) {
  const std::vector<int32_t> ids = {400};
  EXPECT_THROW(small_tokenizer().decode(ids), Error);
  EXPECT_THROW(small_tokenizer().piece(-1), Error);
}

TEST(Tokenizer, ModelBytesAreTheFilesBytes) {
  const std::string bytes = small_tokenizer_bytes();
  const auto path = std::filesystem::temp_directory_path() / "cria_tokenizer_test.model";
  std::ofstream(path, std::ios::binary) << bytes;
  const Tokenizer tokenizer(path.string());
  std::filesystem::remove(path);
  EXPECT_EQ(tokenizer.model_bytes(), bytes);
  EXPECT_EQ(tokenizer.encode("hello world"), small_tokenizer().encode("hello world"));
}

TEST(Tokenizer, FilesThatAreNoModelAreErrors) {
  const auto expect_error = [](const std::string& path, const std::string& part) {
    try {
      Tokenizer tokenizer(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 2);
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  expect_error("/nonexistent/tokenizer.model", "cannot be read");
  expect_error("/", "cannot be read");
  const auto path = std::filesystem::temp_directory_path() / "cria_tokenizer_bad.model";
  const std::string good = small_tokenizer_bytes();
  for (const std::string& bytes : {std::string(), std::string("{\"not\": \"a model\"}"),
                                   good.substr(0, good.size() / 2 + 1)}) {
    std::ofstream(path, std::ios::binary) << bytes;
    expect_error(path.string(), "not a SentencePiece model");
  }
  std::filesystem::remove(path);
}

TEST(TrainBpe, SameTextSameBytes) { EXPECT_EQ(small_tokenizer_bytes(), small_tokenizer_bytes()); }

TEST(TrainBpe, SizesThatDoNotFitNameTheKey) {
  const auto message = [](int32_t vocab_size) -> std::string {
    try {
      small_tokenizer_bytes(vocab_size);
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), 2);
      return error.what();
    }
    return {};
  };
  const std::string too_large = message(5000);
  EXPECT_NE(too_large.find("vocab_size: the text is too small"), std::string::npos) << too_large;
  EXPECT_EQ(too_large.find(".cc"), std::string::npos) << too_large;
  const std::string too_small = message(260);
  EXPECT_NE(too_small.find("vocab_size: a vocabulary of 260 has no room"), std::string::npos)
      << too_small;
  EXPECT_FALSE(message(0).empty());

  // The limit that the message names works.
  const size_t at = too_large.find("set it to ");
  ASSERT_NE(at, std::string::npos);
  EXPECT_TRUE(message(std::stoi(too_large.substr(at + 10))).empty());
}

TEST(TrainBpe, NoTextIsAnError) {
  EXPECT_THROW(train_bpe(
                   {.vocab_size = 300}, [](std::string&) { return false; }, "vocab_size"),
               Error);
}

}  // namespace
}  // namespace cria
