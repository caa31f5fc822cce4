#include "cria/data/preference_record.h"

#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "cria/data/example.h"

#include "data/temporary_files.h"

namespace cria {
namespace {

PreferenceRecord record_of(const std::string& line) {
  return parse_preference(nlohmann::json::parse(line), "f:3");
}

void expect_dialogues(const std::string& line, const std::vector<Message>& chosen,
                      const std::vector<Message>& rejected, size_t first_target) {
  const PreferenceRecord record = record_of(line);
  ASSERT_TRUE(std::holds_alternative<Dialogue>(record.chosen)) << line;
  ASSERT_TRUE(std::holds_alternative<Dialogue>(record.rejected)) << line;
  EXPECT_EQ(std::get<Dialogue>(record.chosen).messages, chosen) << line;
  EXPECT_EQ(std::get<Dialogue>(record.rejected).messages, rejected) << line;
  EXPECT_EQ(std::get<Dialogue>(record.chosen).first_target, first_target) << line;
  EXPECT_EQ(std::get<Dialogue>(record.rejected).first_target, first_target) << line;
}

TEST(PreferenceRecords, PromptAndAnswersAsTexts) {
  const PreferenceRecord record = record_of(R"({"prompt": "p ", "chosen": " a", "rejected": "b"})");
  EXPECT_EQ(std::get<Completion>(record.chosen).prompt, "p ");
  EXPECT_EQ(std::get<Completion>(record.chosen).completion, " a");
  EXPECT_EQ(std::get<Completion>(record.rejected).prompt, "p ");
  EXPECT_EQ(std::get<Completion>(record.rejected).completion, "b");
  EXPECT_EQ(record.where, "f:3");
}

TEST(PreferenceRecords, TextsAlone) {
  const PreferenceRecord record = record_of(R"({"chosen": "q: a", "rejected": "q: b"})");
  EXPECT_EQ(std::get<Text>(record.chosen).text, "q: a");
  EXPECT_EQ(std::get<Text>(record.rejected).text, "q: b");
}

// One dialogue in each way of writing it.
TEST(PreferenceRecords, Dialogues) {
  const std::vector<Message> chosen = {
      {"user", "u"}, {"assistant", "a"}, {"user", "v"}, {"assistant", "b"}};
  const std::vector<Message> rejected = {
      {"user", "u"}, {"assistant", "a"}, {"user", "v"}, {"assistant", "c"}};
  const std::string turns =
      R"({"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "v"})";
  const std::string b = R"({"role": "assistant", "content": "b"})";
  const std::string c = R"({"role": "assistant", "content": "c"})";
  const std::string human = R"(\n\nHuman: u\n\nAssistant: a\n\nHuman: v\n\nAssistant:)";
  for (const std::string& line : {
           // whole
           R"({"chosen": [)" + turns + ", " + b + R"(], "rejected": [)" + turns + ", " + c + "]}",
           R"({"chosen": ")" + human + R"( b", "rejected": ")" + human + R"( c"})",
           // answers to a prompt
           R"({"prompt": [)" + turns + R"(], "chosen": [)" + b + R"(], "rejected": [)" + c + "]}",
           R"({"prompt": [)" + turns + R"(], "chosen": "b", "rejected": "c"})",
           R"({"prompt": ")" + human + R"(", "chosen": "b", "rejected": "c"})",
           // a prompt that the answers repeat
           R"({"prompt": [)" + turns + R"(], "chosen": [)" + turns + ", " + b +
               R"(], "rejected": [)" + turns + ", " + c + "]}",
           R"({"prompt": ")" + human + R"(", "chosen": ")" + human + R"( b", "rejected": ")" +
               human + R"( c"})",
           R"({"prompt": "u", "chosen": [)" + turns + ", " + b + R"(], "rejected": [)" + turns +
               ", " + c + "]}",
       }) {
    expect_dialogues(line, chosen, rejected, 3);
  }
}

TEST(PreferenceRecords, AnswersBeginWhereDialoguesPart) {
  // Of different lengths, and with a system message.
  expect_dialogues(
      R"({"chosen": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
                     {"role": "assistant", "content": "a"}],
          "rejected": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
                       {"role": "assistant", "content": "b"}, {"role": "user", "content": "v"},
                       {"role": "assistant", "content": "c"}]})",
      {{"system", "s"}, {"user", "u"}, {"assistant", "a"}},
      {{"system", "s"}, {"user", "u"}, {"assistant", "b"}, {"user", "v"}, {"assistant", "c"}}, 2);
  // Well before their ends.
  expect_dialogues(
      R"({"chosen": "\n\nHuman: u\n\nAssistant: a\n\nHuman: v\n\nAssistant: b",
          "rejected": "\n\nHuman: u\n\nAssistant: c\n\nHuman: v\n\nAssistant: b"})",
      {{"user", "u"}, {"assistant", "a"}, {"user", "v"}, {"assistant", "b"}},
      {{"user", "u"}, {"assistant", "c"}, {"user", "v"}, {"assistant", "b"}}, 1);
  // The last message is an answer, even where both have it.
  expect_dialogues(R"({"chosen": "\n\nHuman: u\n\nAssistant: a", "rejected":
                       "\n\nHuman: u\n\nAssistant: a\n\nHuman: v\n\nAssistant: b"})",
                   {{"user", "u"}, {"assistant", "a"}},
                   {{"user", "u"}, {"assistant", "a"}, {"user", "v"}, {"assistant", "b"}}, 1);
  // White space around a turn is none of it.
  expect_dialogues(
      R"({"chosen": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}],
                       "rejected": [{"role": "user", "content": " u\n"}, {"role": "assistant", "content": "b"}]})",
      {{"user", "u"}, {"assistant", "a"}}, {{"user", " u\n"}, {"assistant", "b"}}, 1);
}

TEST(PreferenceRecords, Tokens) {
  const PreferenceRecord record =
      record_of(R"({"chosen_input_ids": [1, 5, 6, 2], "rejected_input_ids": [1, 5, 7]})");
  EXPECT_EQ(std::get<Tokens>(record.chosen).ids, (std::vector<int32_t>{1, 5, 6, 2}));
  EXPECT_EQ(std::get<Tokens>(record.rejected).ids, (std::vector<int32_t>{1, 5, 7}));
  EXPECT_EQ(std::get<Tokens>(record.rejected).labels, (std::vector<int32_t>{1, 5, 7}));
  const PreferenceRecord labelled = record_of(
      R"({"chosen_input_ids": [1, 5], "rejected_input_ids": [1, 6],
          "chosen_labels": [-100, 5], "rejected_labels": [-100, 6]})");
  EXPECT_EQ(std::get<Tokens>(labelled.chosen).labels, (std::vector<int32_t>{kNoLabel, 5}));
  EXPECT_EQ(std::get<Tokens>(labelled.rejected).labels, (std::vector<int32_t>{kNoLabel, 6}));
}

TEST(PreferenceRecords, WhatIsSaidOfThem) {
  const PreferenceRecord bare = record_of(R"({"prompt": "p", "chosen": "a", "rejected": "b",
      "rating": null, "margin": null, "category": null, "source": null, "chosen_safe": null})");
  EXPECT_FALSE(bare.rating || bare.margin || bare.source || bare.chosen_safe || bare.rejected_safe);
  EXPECT_EQ(bare.category, Category::helpful);
  const PreferenceRecord full = record_of(R"({"prompt": "p", "chosen": "a", "rejected": "b",
      "rating": "slightly_better", "margin": 0.25, "category": "safety", "source": "meta",
      "chosen_safe": true, "rejected_safe": false})");
  EXPECT_EQ(full.rating, Rating::slightly_better);
  EXPECT_EQ(full.margin, 0.25f);
  EXPECT_EQ(full.category, Category::safety);
  EXPECT_EQ(full.source, "meta");
  EXPECT_EQ(full.chosen_safe, true);
  EXPECT_EQ(full.rejected_safe, false);
  for (size_t i = 0; i < std::size(kRatingNames); ++i) {
    nlohmann::json line = {
        {"prompt", "p"}, {"chosen", "a"}, {"rejected", "b"}, {"rating", kRatingNames[i]}};
    EXPECT_EQ(parse_preference(line, "f:3").rating, static_cast<Rating>(i));
  }
}

TEST(PreferenceRecords, ErrorsNamePlaceAndField) {
  const std::string pair = R"({"prompt": "p", "chosen": "a", "rejected": "b", )";
  const std::vector<std::pair<std::string, const char*>> cases = {
      {R"("chosen")", "not an object"},
      {R"({"text": "t"})", "neither 'chosen' nor 'rejected'"},
      {R"({"chosen": "a"})", "'rejected' is missing beside 'chosen'"},
      {R"({"prompt": "p", "rejected": "a"})", "'chosen' is missing beside 'rejected'"},
      {R"({"chosen_input_ids": [1]})", "'rejected_input_ids' is missing"},
      {R"({"rejected_input_ids": [1]})", "'chosen_input_ids' is missing"},
      {R"({"chosen": 1, "rejected": "a"})", "'chosen' must be a string or a list of messages"},
      {R"({"prompt": {}, "chosen": "b", "rejected": "a"})", "'prompt' must be a string or a list"},
      {R"({"chosen": [], "rejected": []})", "'chosen' is empty"},
      {R"({"chosen": [{"role": "user"}], "rejected": []})", "'chosen[0].content' is missing"},
      {R"({"prompt": "p", "chosen": "a", "rejected": [{"role": "assistant", "content": "b"}]})",
       "one is a dialogue"},
      {R"({"prompt": "p", "chosen": " \n", "rejected": "a"})", "'chosen' has an empty answer"},
      {R"({"prompt": "p", "chosen": "a", "rejected": ""})", "'rejected' has an empty answer"},
      {R"({"chosen": "a", "rejected": ""})", "'rejected' has an empty answer"},
      {R"({"chosen": "\n\nHuman: u\n\nAssistant:", "rejected": "\n\nHuman: u\n\nAssistant: a"})",
       "'chosen' has an empty answer"},
      {R"({"chosen": "\n\nHuman: u\n\nAssistant: a", "rejected": "\n\nHuman: u"})",
       "'rejected' ends with the user's turn"},
      {R"({"chosen": "\n\nHuman: u\n\nAssistant: a", "rejected": "\n\nHuman: v\n\nAssistant: a"})",
       "part at message 0"},
      {R"({"chosen_input_ids": [1, -2], "rejected_input_ids": [1]})",
       "'chosen_input_ids[1]' is -2"},
      {R"({"chosen_input_ids": [1], "rejected_input_ids": []})", "'rejected_input_ids' is empty"},
      {R"({"chosen_input_ids": [1, 2], "rejected_input_ids": [1], "chosen_labels": [1, 2]})",
       "one of 'chosen_labels' and 'rejected_labels' is missing"},
      {R"({"chosen_input_ids": [1, 2], "rejected_input_ids": [1], "chosen_labels": [1], "rejected_labels": [1]})",
       "2 chosen_input_ids but 1 chosen_labels"},
      {pair + R"("rating": "best"})",
       "'rating' is 'best'; one of significantly_better, better, slightly_better, "
       "negligibly_better"},
      {pair + R"("rating": 3})", "'rating' must be a string"},
      {pair + R"("category": "safe"})", "'category' is 'safe'; one of helpful, safety"},
      {pair + R"("margin": "1"})", "'margin' must be a number"},
      {pair + R"("margin": 1e300})", "'margin' is out of bounds"},
      {pair + R"("source": 1})", "'source' must be a string"},
      {pair + R"("chosen_safe": 1})", "'chosen_safe' must be true or false"},
      {pair + R"("rejected_safe": "yes"})", "'rejected_safe' must be true or false"},
  };
  for (const auto& [line, part] : cases) {
    const std::string message = input_error_of([&, text = line] { record_of(text); });
    expect_contains(message, "f:3: ");
    expect_contains(message, part);
  }
}

TEST(PreferenceRecords, WhatAPreferenceIs) {
  for (const char* line : {R"({"chosen": "a"})", R"({"rejected": "a"})",
                           R"({"chosen_input_ids": [1]})", R"({"rejected_input_ids": [1]})"}) {
    EXPECT_TRUE(is_preference(nlohmann::json::parse(line))) << line;
  }
  for (const char* line : {R"({"text": "chosen"})", R"(["chosen"])", R"({"chosen": null})"}) {
    EXPECT_FALSE(is_preference(nlohmann::json::parse(line))) << line;
  }
}

TEST(PreferenceReader, SkipsAndCountsBadLines) {
  const TemporaryFiles files;
  const std::string bytes =
      "{\"chosen\": \"a\", \"rejected\": \"b\"}\n{\"chosen\": \"a\"}\nnot\n"
      "{\"chosen\": \"c\", \"rejected\": \"d\"}\n";
  for (const std::string& path :
       {files.write("a.jsonl", bytes), files.write_gzipped("b.jsonl.gz", bytes)}) {
    PreferenceReader strict(path);
    PreferenceRecord record;
    ASSERT_TRUE(strict.next(record));
    expect_contains(input_error_of([&] { strict.next(record); }), path + ":2: ");

    PreferenceReader lenient(path, true);
    ASSERT_TRUE(lenient.next(record));
    ASSERT_TRUE(lenient.next(record));
    EXPECT_EQ(std::get<Text>(record.chosen).text, "c");
    EXPECT_EQ(record.where, path + ":4");
    EXPECT_FALSE(lenient.next(record));
    EXPECT_EQ(lenient.skipped(), 2);
    expect_contains(lenient.first_skipped(), path + ":2: ");
  }
  const std::string text = files.write("a.txt", "text");
  expect_contains(input_error_of([&] { PreferenceReader reader(text); }), text);
}

}  // namespace
}  // namespace cria
