#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "cria/data/training_data.h"

#include "data/row_checks.h"
#include "data/temporary_files.h"
#include "text/small_tokenizer.h"

namespace cria {
namespace {

constexpr int32_t kBos = 1;
constexpr int32_t kEos = 2;

// A tokenized document: bos, `length` - 2 times `id`, eos.
std::string document(int32_t id, int64_t length) {
  std::vector<int32_t> ids(static_cast<size_t>(length), id);
  ids.front() = kBos;
  ids.back() = kEos;
  return nlohmann::json({{"input_ids", ids}}).dump() + "\n";
}

std::vector<int32_t> joined(const std::vector<Row>& rows) {
  std::vector<int32_t> ids;
  for (const Row& row : rows) {
    EXPECT_EQ(row.size(), 1u);
    ids.insert(ids.end(), row[0].ids.begin(), row[0].ids.end());
  }
  return ids;
}

std::unique_ptr<TrainingData> make(const DataOptions& options) {
  return make_pretraining_data(options, small_tokenizer());
}

TEST(PretrainingData, UnshuffledRowsAreTheDocumentsJoined) {
  const TemporaryFiles files;
  const std::string path = files.write(
      "a.jsonl", "{\"text\": \"the cat sat\"}\n{\"text\": \"hello\"}\n{\"text\": \"\"}\n");
  std::vector<int32_t> epoch;
  for (const char* text : {"the cat sat", "hello"}) {  // a document that says nothing is left out
    epoch.push_back(kBos);
    for (const int32_t id : small_tokenizer().encode(text)) epoch.push_back(id);
    epoch.push_back(kEos);
  }
  const auto data = make({.train = {{path}}, .shuffle = false, .max_length = 6});
  const std::vector<Row> rows = data->next(20);
  const std::vector<int32_t> ids = joined(rows);
  ASSERT_EQ(ids.size(), 120u);
  for (size_t i = 0; i < ids.size(); ++i) ASSERT_EQ(ids[i], epoch[i % epoch.size()]) << i;
  for (const Row& row : rows) {
    EXPECT_EQ(row[0].ids.size(), 6u);
    EXPECT_EQ(row[0].labels, row[0].ids);
    EXPECT_TRUE(row[0].weights.empty());
  }
}

TEST(PretrainingData, EachEpochHasEveryDocumentOnceInAnotherOrder) {
  const TemporaryFiles files;
  std::string text;
  for (int32_t i = 0; i < 50; ++i) text += document(100 + i, 3);
  const std::string path = files.write("a.jsonl", text);
  const auto data = make({.train = {{path}}, .max_length = 3, .seed = 5});
  std::vector<std::vector<int32_t>> epochs;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<int32_t>& order = epochs.emplace_back();
    for (const Row& row : data->next(50)) order.push_back(row[0].ids[1]);
    std::vector<int32_t> sorted = order;
    std::sort(sorted.begin(), sorted.end());
    for (int32_t i = 0; i < 50; ++i) ASSERT_EQ(sorted[i], 100 + i);
    EXPECT_NE(order, sorted);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
  const auto other_seed = make({.train = {{path}}, .max_length = 3, .seed = 6});
  std::vector<int32_t> other;
  for (const Row& row : other_seed->next(50)) other.push_back(row[0].ids[1]);
  EXPECT_NE(other, epochs[0]);
}

TEST(PretrainingData, BatchSizeDoesNotMatter) {
  const TemporaryFiles files;
  std::string text;
  for (int32_t i = 0; i < 30; ++i) text += document(100 + i, 3 + i % 7);
  const DataOptions options{.train = {{files.write("a.jsonl", text)}}, .max_length = 16, .seed = 1};
  const std::vector<Row> at_once = make(options)->next(40);
  std::vector<Row> one_by_one;
  const auto data = make(options);
  for (int i = 0; i < 40; ++i) one_by_one.push_back(data->next(1)[0]);
  EXPECT_TRUE(same(at_once, one_by_one));
}

struct ThreeSources {
  ThreeSources() {
    std::string a, b, c;
    for (int i = 0; i < 40; ++i) a += document(100, 5);
    for (int i = 0; i < 9; ++i) b += document(101, 50 + i);
    for (int i = 0; i < 200; ++i) c += document(102, 10 + i % 11);
    options = {.train = {{files.write("a.jsonl", a), 1.0},
                         {files.write("b.jsonl", b), 3.0},
                         {files.write_gzipped("c.jsonl.gz", c), 4.0}},
               .max_length = 64,
               .seed = 11};
  }
  TemporaryFiles files;
  DataOptions options;
};

TEST(PretrainingData, CursorsGiveTheSameRowsAgain) {
  const ThreeSources sources;
  check_cursors([&] { return make(sources.options); }, 60, 3);
  DataOptions unshuffled = sources.options;
  unshuffled.shuffle = false;
  unshuffled.train.resize(1);
  check_cursors([&] { return make(unshuffled); }, 20, 1);
}

// Weights are shares of tokens, though the documents of b are ten times as long as those of a.
TEST(PretrainingData, WeightsAreSharesOfTokens) {
  const ThreeSources sources;
  const auto data = make(sources.options);
  std::map<int32_t, double> tokens;
  const int rows = 3000;
  for (const int32_t id : joined(data->next(rows))) {
    if (id >= 100) tokens[id] += 1;
  }
  // Without bos and eos: a has 3 of 5 tokens left, b about 52 of 54, c 13 of 15
  // (exactly 14.9/12.9).
  const double a = tokens[100] * 5 / 3, b = tokens[101] * 54 / 52, c = tokens[102] * 14.9 / 12.9;
  const double all = a + b + c;
  EXPECT_NEAR(all, rows * 64.0, rows * 64.0 * 0.01);
  // A share p of N tokens in documents of at most 58 tokens: standard error at most
  // sqrt(p (1 - p) 58 / N) = 0.0087 for p = 1/2. Four of those.
  EXPECT_NEAR(a / all, 1.0 / 8, 0.035);
  EXPECT_NEAR(b / all, 3.0 / 8, 0.035);
  EXPECT_NEAR(c / all, 4.0 / 8, 0.035);
}

TEST(PretrainingData, WeightZeroLeavesASourceOutUnread) {
  ThreeSources sources;
  sources.options.train.push_back({"/nonexistent/x.jsonl", 0.0});
  sources.options.train[1].weight = 0;
  const auto data = make(sources.options);
  const std::vector<int32_t> ids = joined(data->next(200));
  EXPECT_EQ(std::count(ids.begin(), ids.end(), 101), 0);
  EXPECT_GT(std::count(ids.begin(), ids.end(), 100), 0);
  expect_contains(data->report(), "b.jsonl: left out");
}

TEST(PretrainingData, AShareIsOfTheDocuments) {
  const TemporaryFiles files;
  std::string text;
  for (int i = 0; i < 40; ++i) {
    text += nlohmann::json({{"input_ids", {1, 100 + i, 100 + i, 2}}}).dump() + "\n";
  }
  const auto data =
      make({.train = {{files.write("a.jsonl", text), 1.0, 0.25}}, .max_length = 40, .seed = 3});
  expect_contains(data->report(), "10 examples (share 0.25), 40 tokens");
  std::map<int32_t, int> seen;
  for (const int32_t id : joined(data->next(5))) ++seen[id];
  EXPECT_EQ(seen.size(), 12u);  // bos, eos and ten documents
  for (const auto& [id, count] : seen) EXPECT_EQ(count, id < 100 ? 50 : 10) << id;
}

TEST(PretrainingData, OneLongTextIsCutIntoShuffledRows) {
  const TemporaryFiles files;
  std::string text;
  for (int i = 0; i < 400; ++i) text += "the cat " + std::to_string(i) + " sat on the mat\n";
  const std::string path = files.write("book.txt", text);
  const int64_t length = 33;
  const auto data = make({.train = {{path}}, .max_length = length, .seed = 3});
  const std::vector<int32_t> ids = small_tokenizer().encode(text);
  const auto pieces =
      static_cast<size_t>((static_cast<int64_t>(ids.size()) + 2 + length - 3) / (length - 1));
  const std::vector<int32_t> stream = joined(data->next(static_cast<int64_t>(pieces)));

  // The stream of one epoch, cut before each bos, is the pieces in some order. Each piece is a
  // passage of the text as it stands, and together they are the text.
  std::map<size_t, std::vector<int32_t>> passages;
  bool in_order = true;
  size_t previous = 0;
  for (size_t begin = 0; begin < stream.size() && passages.size() < pieces;) {
    ASSERT_EQ(stream[begin], kBos);
    auto end = std::find(stream.begin() + static_cast<int64_t>(begin) + 1, stream.end(), kBos);
    const std::vector<int32_t> piece(stream.begin() + static_cast<int64_t>(begin) + 1, end);
    const bool last = piece.back() == kEos;
    const auto found = std::search(ids.begin(), ids.end(), piece.begin(), piece.end() - last);
    ASSERT_NE(found, ids.end());
    const auto at = static_cast<size_t>(found - ids.begin());
    EXPECT_EQ(at % static_cast<size_t>(length - 1), 0u);
    passages[at].assign(piece.begin(), piece.end() - last);
    in_order &= at >= previous;
    previous = at;
    begin = static_cast<size_t>(end - stream.begin());
  }
  std::vector<int32_t> whole;
  for (const auto& [at, piece] : passages) whole.insert(whole.end(), piece.begin(), piece.end());
  EXPECT_EQ(whole, ids);
  EXPECT_FALSE(in_order);
}

// After the cut-off end of a piece no model can expect a bos; after an eos it can.
TEST(PretrainingData, BosAfterACutCarriesNoLoss) {
  const TemporaryFiles files;
  const std::string path =
      files.write("a.jsonl", document(100, 10) + document(101, 4) + document(102, 4));
  const auto data = make({.train = {{path}}, .shuffle = false, .max_length = 6});
  // bos 100×5 | bos 100×3 eos | bos 101 101 eos | …: pieces of 6 and 5, then whole documents.
  const std::vector<Row> rows = data->next(3);
  EXPECT_EQ(joined(rows), (std::vector<int32_t>{1, 100, 100, 100, 100, 100, 1, 100, 100, 100, 2, 1,
                                                101, 101, 2, 1, 102, 102}));
  for (const Row& row : rows) EXPECT_EQ(row[0].labels, row[0].ids);

  const std::string uneven = files.write("b.jsonl", document(101, 3) + document(100, 10));
  const std::vector<Row> cut =
      make({.train = {{uneven}}, .shuffle = false, .max_length = 6})->next(2);
  EXPECT_EQ(joined(cut),
            (std::vector<int32_t>{1, 101, 2, 1, 100, 100, 100, 100, 100, 1, 100, 100}));
  EXPECT_EQ(cut[0][0].labels, cut[0][0].ids);
  EXPECT_EQ(cut[1][0].labels, (std::vector<int32_t>{100, 100, 100, kNoLabel, 100, 100}));
}

TEST(PretrainingData, RowsInEpochs) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", document(100, 10) + document(101, 15));
  const auto data = make({.train = {{path}}, .max_length = 20});
  EXPECT_EQ(data->rows_in_epochs(1), 2);  // 25 tokens
  EXPECT_EQ(data->rows_in_epochs(4), 5);  // exactly 100
  EXPECT_EQ(data->rows_in_epochs(0.5), 1);
  data->next(3);
  EXPECT_EQ(data->rows_in_epochs(4), 5);
}

TEST(PretrainingData, AnEpochMayEndWithAFile) {
  const TemporaryFiles files;
  std::string eight;
  for (int i = 0; i < 8; ++i) eight += document(100, 10);
  DataOptions options{.train = {{files.write("a.jsonl", eight), 4.0},
                                {files.write("b.jsonl", document(101, 10)), 1.0}},
                      .max_length = 10};
  EXPECT_EQ(make(options)->rows_in_epochs(1), 9);
  options.epoch = "first_exhausted";
  EXPECT_EQ(make(options)->rows_in_epochs(1), 5);
  options.epoch = "all_exhausted";
  EXPECT_EQ(make(options)->rows_in_epochs(1), 10);
}

TEST(PretrainingData, ReportSaysHowFar) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", document(100, 10) + document(101, 10) + "bad\n");
  const auto data = make({.train = {{path}}, .max_length = 10, .skip_bad_lines = true});
  data->next(3);
  expect_contains(data->report(), path + ": 2 examples, 20 tokens; so far 30 tokens, 1.50 epochs");
  expect_contains(data->report(), "1 bad lines skipped (first: " + path + ":3: ");
}

TEST(PretrainingData, WhatCannotBe) {
  const TemporaryFiles files;
  const std::string good = files.write("a.jsonl", document(100, 10));
  const std::string empty = files.write("empty.jsonl", "\n");
  const auto problem = [](const DataOptions& options) {
    return input_error_of([&] { make(options); });
  };
  expect_contains(problem({}), "data.train: no files");
  expect_contains(problem({.train = {{good}, {empty}}}), "data.train[1]");
  expect_contains(problem({.train = {{good, -1}}}), "data.train[0].weight");
  expect_contains(problem({.train = {{good, std::nan("")}}}), "data.train[0].weight");
  expect_contains(problem({.train = {{good, 0}}}), "every weight is 0");
  expect_contains(problem({.train = {{good}}, .max_length = 1}), "data.max_length");
  expect_contains(problem({.train = {{files.path("none.jsonl")}}}), "none.jsonl");
}

TEST(PretrainingData, CursorsOfOtherDataAreRefused) {
  const TemporaryFiles files;
  const std::string one = files.write("a.jsonl", document(100, 10));
  const std::string two = files.write("b.jsonl", document(100, 11));
  const auto data = make({.train = {{one}}, .max_length = 4});
  data->next(3);
  const auto longer = make({.train = {{two}}, .max_length = 4});
  const auto both = make({.train = {{one}, {two}}, .max_length = 4});
  for (TrainingData* other : {longer.get(), both.get()}) {
    expect_contains(input_error_of([&] { other->seek(data->cursor()); }), "other data");
  }
}

TEST(PretrainingEvaluation, AllTokensOnceInOrder) {
  const TemporaryFiles files;
  const std::string one = files.write("a.jsonl", document(100, 10) + document(101, 7));
  const std::string two = files.write("b.jsonl", document(102, 5));
  const std::vector<Row> rows =
      pretraining_evaluation_rows({{one}, {two}}, {.max_length = 10, .seed = 4}, small_tokenizer());
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0][0].ids.size(), 10u);
  EXPECT_EQ(rows[1][0].ids.size(), 10u);
  EXPECT_EQ(rows[2][0].ids, (std::vector<int32_t>{102, 2}));
  EXPECT_EQ(rows[1][0].ids, (std::vector<int32_t>{1, 101, 101, 101, 101, 101, 2, 1, 102, 102}));
  EXPECT_TRUE(pretraining_evaluation_rows({}, {}, small_tokenizer()).empty());
  const std::string empty = files.write("c.jsonl", "");
  EXPECT_THROW(pretraining_evaluation_rows({{empty}}, {}, small_tokenizer()), Error);
  EXPECT_THROW(pretraining_evaluation_rows({{one}}, {.max_length = 0}, small_tokenizer()), Error);
}

}  // namespace
}  // namespace cria
