#include "cria/data/records.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "cria/data/example.h"

#include "data/temporary_files.h"

namespace cria {
namespace {

Record record_of(const std::string& line) {
  return parse_record(nlohmann::json::parse(line), "f:3");
}

template <typename Form>
Form form_of(const std::string& line) {
  const Record record = record_of(line);
  EXPECT_EQ(record.where, "f:3");
  EXPECT_TRUE(std::holds_alternative<Form>(record.content)) << line;
  return std::holds_alternative<Form>(record.content) ? std::get<Form>(record.content) : Form{};
}

TEST(Records, Text) { EXPECT_EQ(form_of<Text>(R"({"text": "a\nb", "id": 3})").text, "a\nb"); }

TEST(Records, Messages) {
  const auto dialogue = form_of<Dialogue>(
      R"({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}], "text": "x"})");
  EXPECT_EQ(dialogue.messages, (std::vector<Message>{{"user", "u"}, {"assistant", "a"}}));
  EXPECT_EQ(dialogue.first_target, 0u);
}

TEST(Records, PromptAndCompletion) {
  const auto completion = form_of<Completion>(R"({"prompt": "p ", "completion": " c"})");
  EXPECT_EQ(completion.prompt, "p ");
  EXPECT_EQ(completion.completion, " c");
}

TEST(Records, PromptAndCompletionAsMessages) {
  const auto dialogue = form_of<Dialogue>(R"({
    "prompt": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"},
               {"role": "user", "content": "v"}],
    "completion": [{"role": "assistant", "content": "b"}]})");
  ASSERT_EQ(dialogue.messages.size(), 4u);
  EXPECT_EQ(dialogue.messages[3], (Message{"assistant", "b"}));
  EXPECT_EQ(dialogue.first_target, 3u);
}

TEST(Records, AnthropicPromptAndCompletion) {
  const auto dialogue = form_of<Dialogue>(
      R"({"prompt": "\n\nHuman: u\n\nAssistant: a\n\nHuman: v\n\nAssistant:", "completion": " b"})");
  EXPECT_EQ(dialogue.messages,
            (std::vector<Message>{
                {"user", "u"}, {"assistant", "a"}, {"user", "v"}, {"assistant", " b"}}));
  EXPECT_EQ(dialogue.first_target, 3u);
}

TEST(Records, Alpaca) {
  auto completion = form_of<Completion>(R"({"instruction": "i", "input": "x", "output": "o"})");
  EXPECT_EQ(completion.prompt, "i\nx");
  EXPECT_EQ(completion.completion, "o");
  for (const char* line : {R"({"instruction": "i", "input": "", "output": "o", "text": "t"})",
                           R"({"instruction": "i", "input": null, "output": "o"})",
                           R"({"instruction": "i", "output": "o"})"}) {
    EXPECT_EQ(form_of<Completion>(line).prompt, "i");
  }
}

TEST(Records, ShareGpt) {
  const auto dialogue = form_of<Dialogue>(R"({"conversations": [
    {"from": "system", "value": "s"}, {"from": "human", "value": "u"}, {"from": "gpt", "value": "a"}]})");
  EXPECT_EQ(dialogue.messages,
            (std::vector<Message>{{"system", "s"}, {"user", "u"}, {"assistant", "a"}}));
}

TEST(Records, QuestionAndAnswer) {
  const auto completion = form_of<Completion>(R"({"question": "q", "answer": "a"})");
  EXPECT_EQ(completion.prompt, "q");
  EXPECT_EQ(completion.completion, "a");
}

TEST(Records, Tokens) {
  const auto tokens = form_of<Tokens>(R"({"input_ids": [1, 5, 2], "labels": [-100, 7, 2]})");
  EXPECT_EQ(tokens.ids, (std::vector<int32_t>{1, 5, 2}));
  EXPECT_EQ(tokens.labels, (std::vector<int32_t>{kNoLabel, 7, 2}));
  EXPECT_EQ(form_of<Tokens>(R"({"input_ids": [1, 5]})").labels, (std::vector<int32_t>{1, 5}));
}

TEST(Records, ErrorsNamePlaceAndField) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"([1])", "not an object"},
      {R"({})", "fields: none"},
      {R"({"foo": 1, "bar": 2})", "'bar', 'foo'"},
      {R"({"prompt": "p", "chosen": "a", "rejected": "b"})", "is a preference"},
      {R"({"text": 1})", "'text' must be a string, and is a number"},
      {R"({"text": null})", "no known form"},
      {R"({"prompt": "p"})", "'completion' is missing"},
      {R"({"completion": "p"})", "'prompt' is missing"},
      {R"({"prompt": "p", "completion": ["c"]})", "'completion' must be a string, and is an array"},
      {R"({"prompt": [{"role": "user", "content": "u"}], "completion": "c"})", "'completion'"},
      {R"({"instruction": "i"})", "'output' is missing"},
      {R"({"instruction": "i", "input": 3, "output": "o"})", "'input' must be a string"},
      {R"({"question": "i"})", "'answer' is missing"},
      {R"({"answer": "i"})", "'question' is missing"},
      {R"({"messages": "u"})", "'messages' must be a list"},
      {R"({"messages": []})", "'messages' is empty"},
      {R"({"messages": ["u"]})", "'messages[0]' must be an object"},
      {R"({"messages": [{"role": "user"}]})", "'messages[0].content' is missing"},
      {R"({"messages": [{"role": "user", "content": null}]})", "'messages[0].content' must be"},
      {R"({"conversations": [{"from": "human"}]})", "'conversations[0].value' is missing"},
      {R"({"input_ids": "x"})", "'input_ids' must be a list"},
      {R"({"input_ids": []})", "'input_ids' is empty"},
      {R"({"input_ids": [1, 2.5]})", "'input_ids[1]' must be an integer"},
      {R"({"input_ids": [1, -1]})", "'input_ids[1]' is -1"},
      {R"({"input_ids": [1, 4294967297]})", "'input_ids[1]' is 4294967297"},
      {R"({"input_ids": [18446744073709551615]})", "'input_ids[0]' is 18446744073709551615"},
      {R"({"input_ids": [1, 2], "labels": [1]})", "2 input_ids but 1 labels"},
      {R"({"input_ids": [1, 2], "labels": [1, -1]})", "'labels[1]' is -1"},
      {R"({"input_ids": [1, 2], "labels": [1, -101]})", "'labels[1]' is -101"},
  };
  for (const auto& [line, part] : cases) {
    const std::string message = input_error_of([&, text = line] { record_of(text); });
    expect_contains(message, "f:3: ");
    expect_contains(message, part);
  }
}

TEST(RecordReader, TextFileIsOneDocument) {
  const TemporaryFiles files;
  const std::string path = files.write_gzipped("a.txt.gz", "one\n\ntwo\n");
  RecordReader reader(path);
  Record record;
  ASSERT_TRUE(reader.next(record));
  EXPECT_EQ(std::get<Text>(record.content).text, "one\n\ntwo\n");
  EXPECT_EQ(record.where, path);
  EXPECT_FALSE(reader.next(record));
}

TEST(RecordReader, SkipsAndCountsBadRecords) {
  const TemporaryFiles files;
  const std::string path =
      files.write("a.jsonl", "{\"text\": \"a\"}\n{\"text\": 1}\nnot\n{\"text\": \"b\"}\n");
  RecordReader strict(path);
  Record record;
  ASSERT_TRUE(strict.next(record));
  expect_contains(input_error_of([&] { strict.next(record); }), path + ":2: ");

  RecordReader lenient(path, true);
  ASSERT_TRUE(lenient.next(record));
  ASSERT_TRUE(lenient.next(record));
  EXPECT_EQ(std::get<Text>(record.content).text, "b");
  EXPECT_EQ(record.where, path + ":4");
  EXPECT_FALSE(lenient.next(record));
  EXPECT_EQ(lenient.skipped(), 2);
  expect_contains(lenient.first_skipped(), path + ":2: ");
}

TEST(ForEachText, EveryTextOfEveryForm) {
  const auto texts = [](const std::string& line) {
    std::string all;
    for_each_text(record_of(line), [&](const std::string& text) { all += text + "|"; });
    return all;
  };
  EXPECT_EQ(texts(R"({"text": "a"})"), "a|");
  EXPECT_EQ(texts(R"({"prompt": "a", "completion": "b"})"), "a|b|");
  EXPECT_EQ(
      texts(
          R"({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]})"),
      "u|a|");
  EXPECT_EQ(texts(R"({"input_ids": [1]})"), "");
}

}  // namespace
}  // namespace cria
