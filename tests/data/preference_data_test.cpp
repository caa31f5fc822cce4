#include "cria/data/preference_data.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "data/row_checks.h"
#include "data/temporary_files.h"
#include "text/small_tokenizer.h"

namespace cria {
namespace {

using Ids = std::vector<int32_t>;

Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Ids text_ids(const std::string& text) { return small_tokenizer().encode(text); }
const Ids kBos = {1}, kEos = {2};

PreferencePair pair_of(const std::string& line, const ExampleOptions& options = {}) {
  return preference_pair(parse_preference(nlohmann::json::parse(line), "f:3"), options,
                         small_tokenizer());
}

// `prompt` unlearnt, then `answer`, learnt token for token.
void expect_parts(const Example& example, const Ids& prompt, const Ids& answer) {
  EXPECT_EQ(example.ids, prompt + answer);
  EXPECT_EQ(example.labels, Ids(prompt.size(), kNoLabel) + answer);
}

// Both encoded as one text, which no token straddles at the boundary in these tests.
void expect_chat(const Example& example, const Ids& history, const std::string& user,
                 const std::string& answer) {
  const Ids whole = text_ids("[INST] " + user + " [/INST] " + answer + " ");
  const Ids open = text_ids("[INST] " + user + " [/INST]");
  ASSERT_TRUE(std::equal(open.begin(), open.end(), whole.begin()));
  expect_parts(example, history + kBos + open,
               Ids(whole.begin() + static_cast<int64_t>(open.size()), whole.end()) + kEos);
}

TEST(PreferencePairs, PromptAndAnswersInTheChatFormat) {
  for (
      const char* line :
      {R"({"prompt": "hello", "chosen": "good day", "rejected": "world"})",
       R"({"prompt": [{"role": "user", "content": "hello"}], "chosen": "good day", "rejected": "world"})",
       R"({"chosen": "\n\nHuman: hello\n\nAssistant: good day", "rejected": "\n\nHuman: hello\n\nAssistant: world"})"}) {
    const PreferencePair pair = pair_of(line);
    expect_chat(pair.chosen, {}, "hello", "good day");
    expect_chat(pair.rejected, {}, "hello", "world");
  }
}

// Earlier answers are prompt: both sequences share them.
TEST(PreferencePairs, EarlierTurnsCarryNoLabel) {
  const PreferencePair pair = pair_of(R"({
      "chosen": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"},
                 {"role": "assistant", "content": "good day"}, {"role": "user", "content": "who"},
                 {"role": "assistant", "content": "good day"}],
      "rejected": [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"},
                 {"role": "assistant", "content": "good day"}, {"role": "user", "content": "who"},
                 {"role": "assistant", "content": "the cat"}]})");
  const Ids history =
      kBos + text_ids("[INST] <<SYS>>\nbe kind\n<</SYS>>\n\nhello [/INST] good day ") + kEos;
  expect_chat(pair.chosen, history, "who", "good day");
  expect_chat(pair.rejected, history, "who", "the cat");
}

// A user's turn among the answers is not learnt.
TEST(PreferencePairs, OnlyAnswersAreLearntWhereDialoguesHavePartedEarly) {
  const PreferencePair pair = pair_of(R"({"chosen": "\n\nHuman: hello\n\nAssistant: world",
      "rejected": "\n\nHuman: hello\n\nAssistant: good day\n\nHuman: who\n\nAssistant: the cat"})");
  expect_chat(pair.chosen, {}, "hello", "world");
  Example first = pair.rejected, second = pair.rejected;
  const auto bos = std::find(pair.rejected.ids.begin() + 1, pair.rejected.ids.end(), 1);
  const int64_t at = bos - pair.rejected.ids.begin();
  first.ids.resize(at);
  first.labels.resize(at);
  second.ids.erase(second.ids.begin(), second.ids.begin() + at);
  second.labels.erase(second.labels.begin(), second.labels.begin() + at);
  expect_chat(first, {}, "hello", "good day");
  expect_chat(second, {}, "who", "the cat");
}

TEST(PreferencePairs, PlainFormWithASeparator) {
  const PreferencePair pair = pair_of(
      R"({"prompt": "the cat xab", "chosen": "cx", "rejected": "world"})", {.separator = ""});
  // "abc" merges over the boundary: the token is the answer's, whole, and not the other's.
  EXPECT_EQ(pair.chosen.ids, kBos + text_ids("the cat xabcx") + kEos);
  EXPECT_EQ(pair.rejected.ids, kBos + text_ids("the cat xabworld") + kEos);
  Ids learnt;
  for (const int32_t label : pair.chosen.labels) {
    if (label != kNoLabel) learnt.push_back(label);
  }
  EXPECT_EQ(small_tokenizer().decode(learnt), "xabcx");
  const PreferencePair lines = pair_of(
      R"({"prompt": "the cat", "chosen": "sat", "rejected": "world"})", {.separator = "\n"});
  const Ids front = text_ids("the cat\n"), whole = text_ids("the cat\nsat");
  expect_parts(lines.chosen, kBos + front,
               Ids(whole.begin() + static_cast<int64_t>(front.size()), whole.end()) + kEos);
}

TEST(PreferencePairs, TextsAndIdsPartWhereTheirTokensDo) {
  const PreferencePair texts = pair_of(R"({"chosen": "the cat sat", "rejected": "the cat world"})");
  expect_parts(texts.chosen, kBos + text_ids("the cat"), text_ids("sat") + kEos);
  expect_parts(texts.rejected, kBos + text_ids("the cat"), text_ids("world") + kEos);
  const PreferencePair ids =
      pair_of(R"({"chosen_input_ids": [1, 5, 6, 2], "rejected_input_ids": [1, 5, 7, 8, 2]})");
  expect_parts(ids.chosen, {1, 5}, {6, 2});
  expect_parts(ids.rejected, {1, 5}, {7, 8, 2});
  // An answer has one token at least.
  const PreferencePair front =
      pair_of(R"({"chosen_input_ids": [1, 5, 6], "rejected_input_ids": [1, 5, 6, 8]})");
  expect_parts(front.chosen, {1, 5}, {6});
  expect_parts(front.rejected, {1, 5}, {6, 8});
  // Labels that are given stay.
  const PreferencePair labelled =
      pair_of(R"({"chosen_input_ids": [1, 5, 6], "rejected_input_ids": [1, 5, 8],
                  "chosen_labels": [-100, 5, 6], "rejected_labels": [-100, 5, -100]})");
  EXPECT_EQ(labelled.chosen.labels, (Ids{kNoLabel, 5, 6}));
  EXPECT_EQ(labelled.rejected.labels, (Ids{kNoLabel, 5, kNoLabel}));
}

TEST(PreferencePairs, WhatIsSaidOfThemStays) {
  const PreferencePair pair = pair_of(R"({"prompt": "p", "chosen": "a", "rejected": "b",
      "rating": "better", "margin": 2, "category": "safety", "source": "meta",
      "chosen_safe": false, "rejected_safe": true})");
  EXPECT_EQ(pair.rating, Rating::better);
  EXPECT_EQ(pair.margin, 2.0f);
  EXPECT_EQ(pair.category, Category::safety);
  EXPECT_EQ(pair.source, "meta");
  EXPECT_EQ(pair.chosen_safe, false);
  EXPECT_EQ(pair.rejected_safe, true);
}

TEST(PreferencePairs, WhatCannotBeEncoded) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {R"({"chosen_input_ids": [1, 400], "rejected_input_ids": [1]})", "is 400"},
      {R"({"prompt": "p", "chosen": [{"role": "user", "content": "v"}, {"role": "assistant", "content": "a"}],
           "rejected": [{"role": "user", "content": "v"}, {"role": "assistant", "content": "b"}]})",
       "message 1 has role 'user'"},
      {R"({"chosen": [{"role": "assistant", "content": "a"}], "rejected": [{"role": "assistant", "content": "b"}]})",
       "message 0 has role 'assistant'"},
  };
  for (const auto& [line, part] : cases) {
    const std::string message = input_error_of([&, text = line] { pair_of(text); });
    expect_contains(message, "f:3: ");
    expect_contains(message, part);
  }
}

std::vector<PreferencePair> read(const std::string& path, const ExampleOptions& options,
                                 bool skip_bad_lines, ExampleCounts& counts) {
  counts = {};
  return read_preference_pairs(path, options, skip_bad_lines, small_tokenizer(), counts);
}

TEST(ReadPreferences, LengthPolicies) {
  const TemporaryFiles files;
  const std::string path = files.write(
      "a.jsonl", R"({"chosen_input_ids": [1, 5, 6, 2], "rejected_input_ids": [1, 5, 7, 2]}
{"chosen_input_ids": [1, 5, 6, 7, 8, 2], "rejected_input_ids": [1, 5, 9]}
{"chosen_input_ids": [1, 5, 6, 7, 8, 2], "rejected_input_ids": [1, 5, 6, 7, 9, 2]}
{"chosen_input_ids": [1, 5, 6, 2], "rejected_input_ids": [1, 5, 6, 7, 8, 2]}
)");
  ExampleCounts counts;
  EXPECT_EQ(read(path, {.max_length = 6}, false, counts).size(), 4u);
  EXPECT_EQ(counts.examples, 4);
  EXPECT_EQ(counts.tokens, 8 + 9 + 12 + 10);

  EXPECT_EQ(read(path, {.max_length = 4}, false, counts).size(), 1u);
  EXPECT_EQ(counts.dropped, 3);
  EXPECT_EQ(counts.tokens, 8);

  // The second pair is cut; of the third only the prompt would be left. Of the fourth the rejected
  // answer loses all but what differs.
  const auto pairs = read(path, {.max_length = 4, .over_long = OverLong::truncate}, false, counts);
  ASSERT_EQ(pairs.size(), 3u);
  expect_parts(pairs[1].chosen, {1, 5}, {6, 7});
  expect_parts(pairs[1].rejected, {1, 5}, {9});
  expect_parts(pairs[2].chosen, {1, 5, 6}, {2});
  expect_parts(pairs[2].rejected, {1, 5, 6}, {7});
  EXPECT_EQ(counts.truncated, 2);
  EXPECT_EQ(counts.dropped, 1);
  EXPECT_EQ(counts.examples, 3);
  EXPECT_EQ(counts.tokens, 8 + 7 + 8);
}

// Answers that differ only beyond max_length compare nothing when they are cut.
TEST(ReadPreferences, AnswersThatCuttingMakesEqualAreDropped) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", R"({
"chosen_input_ids": [1, 5, 6, 7, 8], "chosen_labels": [-100, 5, 6, 7, 8],
"rejected_input_ids": [1, 5, 6, 7, 9], "rejected_labels": [-100, 5, 6, 7, 9]})");
  std::string line = files.read("a.jsonl");
  line.erase(std::remove(line.begin(), line.end(), '\n'), line.end());
  ExampleCounts counts;
  EXPECT_EQ(read(files.write("b.jsonl", line), {.max_length = 4, .over_long = OverLong::truncate},
                 false, counts)
                .size(),
            0u);
  EXPECT_EQ(counts.dropped, 1);
  EXPECT_EQ(counts.truncated, 0);
}

TEST(ReadPreferences, EqualAnswersAreLeftOutAndCounted) {
  const TemporaryFiles files;
  const std::string path =
      files.write("a.jsonl", R"({"prompt": "p", "chosen": "a", "rejected": " a\n"}
{"prompt": "p", "chosen": "a", "rejected": "b"}
{"chosen_input_ids": [1, 5], "rejected_input_ids": [1, 5]}
{"chosen_input_ids": [1, 5], "rejected_input_ids": [1, 6], "chosen_labels": [-100, -100], "rejected_labels": [-100, 6]}
)");
  ExampleCounts counts;
  EXPECT_EQ(read(path, {}, false, counts).size(), 1u);
  EXPECT_EQ(counts.identical, 2);
  EXPECT_EQ(counts.unlabelled, 1);
}

TEST(ReadPreferences, BadLinesStopOrAreCounted) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", R"({"prompt": "p", "chosen": "a", "rejected": "b"}
{"prompt": "p", "chosen": "", "rejected": "b"}
{"chosen_input_ids": [1, 400], "rejected_input_ids": [1]}
{"prompt": "p", "chosen": "a", "rejected": "b", "source": "meta"}
)");
  ExampleCounts counts;
  expect_contains(input_error_of([&] { read(path, {}, false, counts); }), path + ":2: ");
  const auto pairs = read(path, {}, true, counts);
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_EQ(counts.skipped, 2);
  EXPECT_EQ(pairs[0].source, path);
  EXPECT_EQ(pairs[1].source, "meta");
}

// `count` pairs; the second id of each tells which, the third which answer.
std::string pairs(int32_t first_id, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    Ids chosen = {1, first_id + i, 10}, rejected = {1, first_id + i, 11};
    chosen.resize(3 + i % 4, 12);
    chosen.push_back(2);
    rejected.push_back(2);
    text +=
        nlohmann::json({{"chosen_input_ids", chosen}, {"rejected_input_ids", rejected}}).dump() +
        "\n";
  }
  return text;
}

std::unique_ptr<PreferenceData> make(const DataOptions& options,
                                     const std::vector<DataPath>& eval = {}) {
  return make_preference_data(options, eval, small_tokenizer());
}

void expect_row(const PreferenceData& data, const Row& row) {
  ASSERT_EQ(row.size(), 2u);
  ASSERT_EQ(row[0].item, row[1].item);
  const PreferencePair& pair = data.pair(row[0].item);
  EXPECT_EQ(pair.chosen.item, row[0].item);
  EXPECT_EQ(pair.rejected.item, row[0].item);
  EXPECT_EQ(row[0].ids, pair.chosen.ids);
  EXPECT_EQ(row[0].labels, pair.chosen.labels);
  EXPECT_EQ(row[1].ids, pair.rejected.ids);
  EXPECT_EQ(row[1].labels, pair.rejected.labels);
  EXPECT_EQ(row[0].ids[2], 10);
  EXPECT_EQ(row[1].ids[2], 11);
}

TEST(PreferenceData, ARowIsAPair) {
  const TemporaryFiles files;
  const DataOptions options{.train = {{files.write("a.jsonl", pairs(100, 20))},
                                      {"/nonexistent/b.jsonl", 0.0},
                                      {files.write("c.jsonl", pairs(200, 5))}},
                            .seed = 3};
  const std::vector<DataPath> eval = {{files.write("d.jsonl", pairs(300, 4))},
                                      {files.write("e.jsonl", pairs(350, 3))}};
  const auto data = make(options, eval);
  EXPECT_EQ(data->pair_count(), 32);
  for (const Row& row : data->next(100)) {
    expect_row(*data, row);
    EXPECT_LT(row[0].item, 25);
  }
  const std::vector<Row> rows = data->evaluation_rows();
  ASSERT_EQ(rows.size(), 7u);
  for (int32_t i = 0; i < 7; ++i) {
    expect_row(*data, rows[i]);
    EXPECT_EQ(rows[i][0].item, 25 + i);
    EXPECT_EQ(rows[i][0].ids[1], i < 4 ? 300 + i : 350 + i - 4);
  }
  EXPECT_EQ(data->pair(25).source, eval[0].path);
  EXPECT_TRUE(make(options)->evaluation_rows().empty());
}

TEST(PreferenceData, AShareOfAFile) {
  const TemporaryFiles files;
  const DataOptions options{.train = {{files.write("a.jsonl", pairs(100, 20)), 1.0, 0.25},
                                      {files.write("c.jsonl", pairs(200, 5))}},
                            .seed = 3};
  const auto data = make(options);
  EXPECT_EQ(data->pair_count(), 10);
  std::map<int32_t, int> seen;
  for (const Row& row : data->next(200)) {
    expect_row(*data, row);
    ++seen[row[0].ids[1]];
  }
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(std::distance(seen.begin(), seen.lower_bound(200)), 5);
}

TEST(PreferenceData, EachEpochHasEveryPairOnce) {
  const TemporaryFiles files;
  const auto data = make({.train = {{files.write("a.jsonl", pairs(100, 30))}}, .seed = 2});
  EXPECT_EQ(data->rows_in_epochs(1), 30);
  EXPECT_EQ(data->rows_in_epochs(2.5), 75);
  std::vector<Ids> epochs;
  for (int epoch = 0; epoch < 2; ++epoch) {
    Ids order;
    for (const Row& row : data->next(30)) order.push_back(row[0].ids[1]);
    epochs.push_back(order);
    std::sort(order.begin(), order.end());
    for (int32_t i = 0; i < 30; ++i) ASSERT_EQ(order[i], 100 + i);
  }
  EXPECT_NE(epochs[0], epochs[1]);
}

TEST(PreferenceData, CursorsGiveTheSameRowsAgain) {
  const TemporaryFiles files;
  const DataOptions options{.train = {{files.write("a.jsonl", pairs(100, 40)), 2.0},
                                      {files.write("b.jsonl", pairs(200, 7)), 1.0},
                                      {"/nonexistent/c.jsonl", 0.0}},
                            .seed = 9};
  check_cursors([&] { return make(options); }, 60, 3);
  const auto data = make(options);
  expect_contains(input_error_of([&] { data->seek(std::vector<int64_t>{1, 2, 3}); }), "other data");
}

// Ranks take their rows from the same batch, however it is asked for.
TEST(PreferenceData, TheStreamDoesNotDependOnBatches) {
  const TemporaryFiles files;
  const DataOptions options{.train = {{files.write("a.jsonl", pairs(100, 40))}}, .seed = 9};
  const auto data = make(options);
  const std::vector<Row> whole = make(options)->next(60);
  std::vector<Row> rows;
  for (const int64_t count : {1, 7, 2, 50}) {
    for (Row& row : data->next(count)) rows.push_back(std::move(row));
  }
  EXPECT_TRUE(same(rows, whole));
}

TEST(PreferenceData, WeightsAreSharesOfPairs) {
  const TemporaryFiles files;
  const DataOptions options{.train = {{files.write("safety.jsonl", pairs(100, 9)), 0.9},
                                      {files.write("helpful.jsonl", pairs(200, 100)), 0.1}},
                            .seed = 9};
  const int rows = 4000;
  int helpful = 0;
  for (const Row& row : make(options)->next(rows)) helpful += row[0].ids[1] >= 200;
  EXPECT_NEAR(helpful / double{rows}, 0.1, 4 * std::sqrt(0.1 * 0.9 / rows));
}

// 90 pairs at a share of 0.9, 400 at 0.1: the first is gone through after 100 pairs, the second
// after 4,000.
TEST(PreferenceData, WhatAnEpochIs) {
  const TemporaryFiles files;
  DataOptions options{.train = {{files.write("safety.jsonl", pairs(100, 90)), 9},
                                {files.write("helpful.jsonl", pairs(0, 400)), 1},
                                {"/nonexistent/c.jsonl", 0}},
                      .seed = 9};
  EXPECT_EQ(make(options)->rows_in_epochs(1), 490);
  options.epoch = "first_exhausted";
  EXPECT_EQ(make(options)->rows_in_epochs(1), 100);
  EXPECT_EQ(make(options)->rows_in_epochs(2.5), 250);
  options.epoch = "all_exhausted";
  EXPECT_EQ(make(options)->rows_in_epochs(1), 4000);
  options.epoch = "twice";
  expect_contains(input_error_of([&] { make(options); }), "data.epoch");
}

TEST(PreferenceData, ReportCountsWhatWasLost) {
  const TemporaryFiles files;
  const std::string path = files.write(
      "a.jsonl", pairs(100, 4) +
                     "{\"chosen_input_ids\": [1, 5], \"rejected_input_ids\": [1, 5]}\n"
                     "{\"chosen_input_ids\": [1, 5, 6, 7, 8, 9, 10, 2], \"rejected_input_ids\": "
                     "[1, 5]}\nbad\n");
  const auto data = make({.train = {{path}}, .max_length = 7, .skip_bad_lines = true});
  data->next(6);
  const std::string report = data->report();
  // 4 + 5 + 6 + 7 tokens of chosen, 4 each of rejected.
  expect_contains(report, path + ": 4 pairs, 38 tokens; so far ");
  expect_contains(report, "1.50 epochs");
  expect_contains(report, "1 dropped as too long");
  expect_contains(report, "1 with two equal answers left out");
  expect_contains(report, "1 bad lines skipped");
}

TEST(PreferenceData, WhatCannotBe) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", pairs(100, 5));
  const std::string empty = files.write("b.jsonl", "");
  expect_contains(input_error_of([&] { make({.train = {{path}}, .max_length = 3}); }),
                  "5 dropped as too long");
  expect_contains(input_error_of([&] { make({.train = {{path}}}, {{empty}}); }), "data.eval");
  expect_contains(input_error_of([&] { make({.train = {{empty}}}); }), "data.train[0]");
}

}  // namespace
}  // namespace cria
