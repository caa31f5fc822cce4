#include "cria/data/example_builder.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "cria/data/packed_batch.h"

#include "data/temporary_files.h"
#include "text/small_tokenizer.h"

namespace cria {
namespace {

Example example_of(const std::string& line, const ExampleOptions& options = {}) {
  return fine_tuning_example(parse_record(nlohmann::json::parse(line), "f:3"), options,
                             small_tokenizer());
}

std::string learnt(const Example& example) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < example.ids.size(); ++i) {
    if (example.weight(i) > 0) {
      EXPECT_EQ(example.labels[i], example.ids[i]);
      ids.push_back(example.ids[i]);
    } else {
      EXPECT_EQ(example.labels[i], kNoLabel);
    }
  }
  std::string text = small_tokenizer().decode(ids);
  for (const int32_t id : ids) text += id == small_tokenizer().eos_id() ? "$" : "";
  return text;
}

TEST(FineTuningExample, AnswersAndTheirEosAreLearnt) {
  const Example example = example_of(R"({"messages": [
      {"role": "system", "content": "be kind"},
      {"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"},
      {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hello"}]})");
  EXPECT_EQ(learnt(example), "good day  hello $$");
  EXPECT_EQ(example.ids.back(), small_tokenizer().eos_id());
  EXPECT_EQ(example.labels.back(), small_tokenizer().eos_id());
}

TEST(FineTuningExample, LastAnswerOnlyWhereAsked) {
  const std::string line = R"({"messages": [
      {"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"},
      {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hello"}]})";
  EXPECT_EQ(learnt(example_of(line, {.targets = Targets::last})), "hello $");
  const Example all = example_of(line);
  EXPECT_EQ(all.ids, example_of(line, {.targets = Targets::last}).ids);
}

TEST(FineTuningExample, CompletionOfMessagesIsLearntAndNotThePrompt) {
  EXPECT_EQ(learnt(example_of(R"({"prompt": [
      {"role": "user", "content": "hello"}, {"role": "assistant", "content": "good day"},
      {"role": "user", "content": "hello"}], "completion": [{"role": "assistant", "content": "the cat"}]})")),
            "the cat $");
}

// The prompt holds the answer, twice; only the answer at the end counts.
TEST(FineTuningExample, PromptsInEveryFormCarryNoLoss) {
  for (
      const char* line :
      {R"({"prompt": "the cat the cat", "completion": "the cat"})",
       R"({"question": "the cat the cat", "answer": "the cat"})",
       R"({"instruction": "the cat", "input": "the cat", "output": "the cat"})",
       R"({"conversations": [{"from": "human", "value": "the cat the cat"}, {"from": "gpt", "value": "the cat"}]})",
       R"({"text": "\n\nHuman: the cat the cat\n\nAssistant: the cat"})",
       R"({"prompt": "\n\nHuman: the cat the cat\n\nAssistant:", "completion": " the cat"})"}) {
    const Example example = example_of(line);
    EXPECT_EQ(learnt(example), "the cat $") << line;
    EXPECT_EQ(std::count(example.ids.begin(), example.ids.end(), small_tokenizer().bos_id()), 1);
  }
}

TEST(FineTuningExample, SeparatorGivesThePlainForm) {
  const Example example =
      example_of(R"({"prompt": "the cat xab", "completion": "cx"})", {.separator = ""});
  // "abc" merges over the boundary: the token is the completion's, whole.
  EXPECT_EQ(example.ids, encode_completion(small_tokenizer(), "the cat xab", "", "cx").ids);
  EXPECT_EQ(learnt(example), "xabcx$");
  const Example separated =
      example_of(R"({"question": "the cat", "answer": "sat"})", {.separator = "\n"});
  EXPECT_EQ(learnt(separated), "sat$");
}

TEST(FineTuningExample, TextIsLearntWhole) {
  const Example example = example_of(R"({"text": "the cat"})");
  std::vector<int32_t> expected = {1};
  for (const int32_t id : small_tokenizer().encode("the cat")) expected.push_back(id);
  expected.push_back(2);
  EXPECT_EQ(example.ids, expected);
  EXPECT_EQ(example.labels, expected);
}

TEST(FineTuningExample, TokensStayAsTheyAre) {
  const Example example = example_of(R"({"input_ids": [7, 8, 9], "labels": [-100, 3, 9]})");
  EXPECT_EQ(example.ids, (std::vector<int32_t>{7, 8, 9}));
  EXPECT_EQ(example.labels, (std::vector<int32_t>{kNoLabel, 3, 9}));
}

TEST(FineTuningExample, WhatCannotBeLearntFrom) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"messages": [{"role": "user", "content": "u"}]})", "no answer to learn"},
      {R"({"messages": [{"role": "assistant", "content": "u"}]})", "'assistant'"},
      {R"({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": " "}]})",
       "message 1 is empty"},
      {R"({"prompt": "p", "completion": "\n"})", "completion is empty"},
      {R"({"input_ids": [1, 400]})", "'input_ids[1]' is 400"},
      {R"({"input_ids": [1, 2], "labels": [1, 400]})", "'labels[1]' is 400"},
  };
  for (const auto& [line, part] : cases) {
    const std::string message = input_error_of([&, text = line] { example_of(text); });
    expect_contains(message, "f:3: ");
    expect_contains(message, part);
  }
}

TEST(DocumentTokens, EveryForm) {
  const auto tokens = [](const std::string& line) {
    return document_tokens(parse_record(nlohmann::json::parse(line), "f:3"), {}, small_tokenizer());
  };
  const std::string question = R"({"question": "hello", "answer": "good day"})";
  EXPECT_EQ(tokens(question), example_of(question).ids);
  EXPECT_EQ(tokens(R"({"text": "the cat"})"), example_of(R"({"text": "the cat"})").ids);
  // Pretraining takes text as it comes.
  const std::string human = R"({"text": "\n\nHuman: u\n\nAssistant: a"})";
  std::vector<int32_t> plain = small_tokenizer().encode("\n\nHuman: u\n\nAssistant: a");
  plain.insert(plain.begin(), 1);
  plain.push_back(2);
  EXPECT_EQ(tokens(human), plain);
  EXPECT_EQ(tokens(R"({"input_ids": [7, 8]})"), (std::vector<int32_t>{7, 8}));
  expect_contains(input_error_of([&] { tokens(R"({"input_ids": [7, 8], "labels": [-100, 8]})"); }),
                  "labels differ");
}

std::string numbered_lines(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    std::string answer = "the";
    for (int j = 0; j < i % 5; ++j) answer += " cat";
    text += nlohmann::json({{"prompt", std::to_string(i)}, {"completion", answer}}).dump() + "\n";
  }
  return text;
}

TEST(ReadExamples, OrderIsTheFiles) {
  const TemporaryFiles files;
  ExampleCounts counts;
  const auto examples = read_fine_tuning_examples(files.write("a.jsonl", numbered_lines(2500)), {},
                                                  false, small_tokenizer(), counts);
  ASSERT_EQ(examples.size(), 2500u);
  for (int i = 0; i < 2500; ++i) {
    const auto text = small_tokenizer().decode(examples[i].ids);
    ASSERT_EQ(text.rfind("[INST] " + std::to_string(i) + " [/INST]", 0), 0u) << text;
  }
  EXPECT_EQ(counts.examples, 2500);
}

TEST(ReadExamples, LengthPolicies) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", R"({"input_ids": [1, 5, 6, 2]}
{"input_ids": [1, 5, 6, 7, 2]}
{"input_ids": [1, 5, 6, 7, 8, 2], "labels": [-100, -100, -100, -100, 8, 2]}
{"input_ids": [1, 5], "labels": [1, -100]}
)");
  ExampleCounts dropping;
  auto examples =
      read_fine_tuning_examples(path, {.max_length = 4}, false, small_tokenizer(), dropping);
  ASSERT_EQ(examples.size(), 1u);
  EXPECT_EQ(dropping.examples, 1);
  EXPECT_EQ(dropping.tokens, 4);
  EXPECT_EQ(dropping.dropped, 2);
  EXPECT_EQ(dropping.unlabelled, 1);  // labels[0] is never predicted

  ExampleCounts cutting;
  examples = read_fine_tuning_examples(path, {.max_length = 4, .over_long = OverLong::truncate},
                                       false, small_tokenizer(), cutting);
  ASSERT_EQ(examples.size(), 2u);
  EXPECT_EQ(examples[1].ids, (std::vector<int32_t>{1, 5, 6, 7}));
  EXPECT_EQ(examples[1].labels, (std::vector<int32_t>{1, 5, 6, 7}));
  EXPECT_EQ(cutting.truncated, 1);
  EXPECT_EQ(cutting.dropped, 0);
  EXPECT_EQ(cutting.unlabelled, 2);  // one has lost all that it had to learn
  EXPECT_EQ(cutting.tokens, 8);
}

TEST(ReadExamples, BadExamplesAreSkippedLikeBadLines) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", R"({"prompt": "a", "completion": "b"}
{"messages": [{"role": "user", "content": "u"}]}
not json
{"prompt": "a", "completion": "b"}
)");
  ExampleCounts counts;
  expect_contains(input_error_of([&] {
                    read_fine_tuning_examples(path, {}, false, small_tokenizer(), counts);
                  }),
                  path + ":");
  counts = {};
  EXPECT_EQ(read_fine_tuning_examples(path, {}, true, small_tokenizer(), counts).size(), 2u);
  EXPECT_EQ(counts.skipped, 2);
}

TEST(OverLongPolicy, Names) {
  EXPECT_EQ(parse_over_long("drop", "k"), OverLong::drop);
  EXPECT_EQ(parse_over_long("truncate", "k"), OverLong::truncate);
  expect_contains(input_error_of([] { parse_over_long("cut", "data.over_long"); }),
                  "data.over_long");
}

}  // namespace
}  // namespace cria
