#include "cria/data/tokenizer_training.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "cria/text/tokenizer.h"

#include "data/temporary_files.h"
#include "text/small_tokenizer.h"

namespace cria {
namespace {

std::string jsonl_of_small_text() { return nlohmann::json({{"text", kSmallText}}).dump() + "\n"; }

TEST(TrainTokenizer, EveryFormOfTheSameTextGivesTheSameBytes) {
  const TemporaryFiles files;
  const std::string expected = small_tokenizer_bytes();
  for (const std::string& input :
       {files.write("a.txt", kSmallText), files.write_gzipped("a.txt.gz", kSmallText),
        files.write("a.jsonl", jsonl_of_small_text()),
        files.write_gzipped("a.jsonl.gz", jsonl_of_small_text())}) {
    const std::string output = files.path("sub/tokenizer.model");
    expect_contains(train_tokenizer({.files = {input}, .output = output, .vocab_size = 400}),
                    "400 pieces from 7 lines");
    EXPECT_EQ(files.read("sub/tokenizer.model"), expected) << input;
    EXPECT_EQ(Tokenizer(output).vocab_size(), 400);
  }
}

TEST(TrainTokenizer, LearnsFromAllTextsOfDialogues) {
  const TemporaryFiles files;
  std::string text;
  for (int i = 0; i < 50; ++i) {
    text +=
        R"({"messages": [{"role": "user", "content": "wug wug"}, {"role": "assistant", "content": "zot zot"}]})"
        "\n";
  }
  train_tokenizer({.files = {files.write("a.jsonl", text)},
                   .output = files.path("t.model"),
                   .vocab_size = 272});
  const Tokenizer tokenizer(files.path("t.model"));
  EXPECT_EQ(tokenizer.encode("wug zot").size(), 2u);
}

TEST(TrainTokenizer, SampleOfLinesDependsOnTheSeedAlone) {
  const TemporaryFiles files;
  std::string text;
  for (int i = 0; i < 2000; ++i) {
    text += "word" + std::string(1, static_cast<char>('a' + i % 26)) +
            std::string(1, static_cast<char>('a' + i / 26 % 26)) + " and more\n";
  }
  const std::string input = files.write("a.txt", text);
  const auto model = [&](uint64_t seed) {
    train_tokenizer({.files = {input},
                     .output = files.path("t.model"),
                     .vocab_size = 320,
                     .input_sentence_size = 100,
                     .seed = seed});
    return files.read("t.model");
  };
  const std::string first = model(1);
  EXPECT_EQ(model(1), first);
  EXPECT_NE(model(2), first);
}

TEST(TrainTokenizer, EarlyAndLateLinesHaveEqualChances) {
  const TemporaryFiles files;
  std::string text;
  for (int i = 0; i < 4000; ++i) text += i < 2000 ? "wug wug\n" : "zot zot\n";
  train_tokenizer({.files = {files.write("a.txt", text)},
                   .output = files.path("t.model"),
                   .vocab_size = 272,
                   .input_sentence_size = 100,
                   .seed = 3});
  const Tokenizer tokenizer(files.path("t.model"));
  EXPECT_EQ(tokenizer.encode("wug zot").size(), 2u);
}

TEST(TrainTokenizer, ErrorsLeaveTheOutputAsItWas) {
  const TemporaryFiles files;
  const std::string output = files.write("t.model", "as it was");
  const std::string input = files.write("a.txt", "too little text");
  const auto problem = [&](const TokenizerTraining& options) {
    const std::string message = input_error_of([&] { train_tokenizer(options); });
    EXPECT_EQ(files.read("t.model"), "as it was");
    return message;
  };
  expect_contains(problem({.files = {input}, .output = output}),
                  "vocab_size: the text is too small");
  expect_contains(problem({.files = {files.path("none.txt")}, .output = output}), "none.txt");
  expect_contains(problem({.files = {files.write("e.txt", "")}, .output = output}), "no text");
  expect_contains(problem({.files = {files.write("b.jsonl", "{\n")}, .output = output}),
                  "b.jsonl:1");
  expect_contains(problem({.files = {}, .output = output}), "no files");
  expect_contains(problem({.files = {files.write("d.csv", "")}, .output = output}), ".jsonl");
}

TEST(TrainTokenizer, AnOutputThatCannotBeWritten) {
  const TemporaryFiles files;
  std::filesystem::create_directory(files.path("folder.model"));
  EXPECT_THROW(train_tokenizer({.files = {files.write("a.txt", kSmallText)},
                                .output = files.path("folder.model"),
                                .vocab_size = 400}),
               Error);
  EXPECT_FALSE(std::filesystem::exists(files.path("folder.model.partial")));
}

}  // namespace
}  // namespace cria
