#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "cria/core/error.h"
#include "cria/data/packed_batch.h"
#include "cria/data/training_data.h"

#include "data/row_checks.h"
#include "data/temporary_files.h"
#include "text/small_tokenizer.h"

namespace cria {
namespace {

// `count` tokenized examples of ragged lengths; the first id of each tells it.
std::string examples(int32_t first_id, int count, int64_t shortest, int64_t longest) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    const int64_t length = shortest + i * 7 % (longest - shortest + 1);
    std::vector<int32_t> ids(static_cast<size_t>(length), first_id + i);
    ids.back() = 2;
    std::vector<int32_t> labels = ids;
    labels[0] = kNoLabel;
    text += nlohmann::json({{"input_ids", ids}, {"labels", labels}}).dump() + "\n";
  }
  return text;
}

int64_t tokens_of(const Row& row) {
  int64_t tokens = 0;
  for (const Example& example : row) tokens += static_cast<int64_t>(example.ids.size());
  return tokens;
}

std::unique_ptr<TrainingData> make(const DataOptions& options) {
  return make_sft_data(options, small_tokenizer());
}

TEST(SftData, RowsArePackedByNextFit) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", examples(100, 40, 3, 20));
  const auto data = make({.train = {{path}}, .max_length = 32, .seed = 2});
  const std::vector<Row> rows = data->next(200);
  double filled = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_LE(tokens_of(rows[i]), 32);
    filled += static_cast<double>(tokens_of(rows[i]));
    if (i > 0) {
      EXPECT_GT(tokens_of(rows[i - 1]) + static_cast<int64_t>(rows[i][0].ids.size()), 32);
    }
  }
  EXPECT_GT(filled / (200.0 * 32.0), 0.7);
}

TEST(SftData, EachEpochHasEveryExampleOnce) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", examples(100, 40, 3, 20));
  for (const bool packing : {true, false}) {
    const auto data = make({.train = {{path}}, .max_length = 32, .packing = packing, .seed = 2});
    std::vector<int32_t> order;
    while (order.size() < 120) {
      for (const Row& row : data->next(1)) {
        for (const Example& example : row) order.push_back(example.ids[0]);
      }
    }
    std::vector<std::vector<int32_t>> epochs;
    for (int epoch = 0; epoch < 3; ++epoch) {
      std::vector<int32_t> ids(order.begin() + epoch * 40, order.begin() + epoch * 40 + 40);
      epochs.push_back(ids);
      std::sort(ids.begin(), ids.end());
      for (int32_t i = 0; i < 40; ++i) ASSERT_EQ(ids[i], 100 + i);
    }
    EXPECT_NE(epochs[0], epochs[1]);
    EXPECT_NE(epochs[1], epochs[2]);
  }
}

TEST(SftData, WithoutPackingARowIsAnExample) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", examples(100, 10, 3, 20));
  const auto data = make({.train = {{path}}, .shuffle = false, .max_length = 32, .packing = false});
  const std::vector<Row> rows = data->next(20);
  for (size_t i = 0; i < 20; ++i) {
    ASSERT_EQ(rows[i].size(), 1u);
    EXPECT_EQ(rows[i][0].ids[0], 100 + static_cast<int32_t>(i % 10));
  }
  EXPECT_EQ(data->rows_in_epochs(2), 20);
  EXPECT_EQ(data->rows_in_epochs(0.25), 3);
}

TEST(SftData, RowsInEpochsAreThoseThatHoldTheExamples) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", examples(100, 40, 3, 20));
  const auto data = make({.train = {{path}}, .max_length = 32, .seed = 2});
  data->next(3);
  for (const int epochs : {1, 2, 5}) {
    const auto fresh = make({.train = {{path}}, .max_length = 32, .seed = 2});
    size_t seen = 0;
    int64_t rows = 0;
    while (seen < static_cast<size_t>(40 * epochs)) {
      seen += fresh->next(1)[0].size();
      ++rows;
    }
    EXPECT_EQ(data->rows_in_epochs(epochs), rows);
  }
}

TEST(SftData, CursorsGiveTheSameRowsAgain) {
  const TemporaryFiles files;
  const DataOptions options{.train = {{files.write("a.jsonl", examples(100, 40, 3, 20)), 2.0},
                                      {files.write("b.jsonl", examples(200, 7, 3, 30)), 1.0},
                                      {"/nonexistent/c.jsonl", 0.0}},
                            .max_length = 32,
                            .seed = 9};
  check_cursors([&] { return make(options); }, 60, 3);
  DataOptions unpacked = options;
  unpacked.packing = false;
  check_cursors([&] { return make(unpacked); }, 60, 3);
}

TEST(SftData, WeightsAreSharesOfExamples) {
  const TemporaryFiles files;
  const DataOptions options{.train = {{files.write("a.jsonl", examples(100, 40, 3, 5)), 9.0},
                                      {files.write("b.jsonl", examples(200, 5, 20, 30)), 1.0}},
                            .max_length = 32,
                            .packing = false,
                            .seed = 9};
  int from_b = 0;
  const int rows = 4000;
  for (const auto& [id, count] : occurrences(make(options)->next(rows))) {
    if (id >= 200) from_b += count;
  }
  EXPECT_NEAR(from_b / double{rows}, 0.1, 4 * std::sqrt(0.1 * 0.9 / rows));
}

// Of a file's examples, by their first ids, those that a share of it keeps.
std::vector<int32_t> kept(const std::string& path, double share, uint64_t seed = 9) {
  const auto data = make({.train = {{.path = path, .share = share}},
                          .shuffle = false,
                          .max_length = 32,
                          .packing = false,
                          .seed = seed});
  std::vector<int32_t> ids;
  for (const Row& row : data->next(data->rows_in_epochs(1))) ids.push_back(row[0].ids[0]);
  return ids;
}

TEST(SftData, AShareIsDrawnOnceAndHoldsEverySmallerOne) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", examples(100, 40, 3, 20));
  std::vector<int32_t> smaller;
  for (const auto& [share, count] : std::map<double, size_t>{
           {0.001, 1}, {0.05, 2}, {0.1, 4}, {0.5, 20}, {0.99, 40}, {1.0, 40}}) {
    const std::vector<int32_t> ids = kept(path, share);
    EXPECT_EQ(ids.size(), count) << share;
    EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end())) << share;
    EXPECT_TRUE(std::includes(ids.begin(), ids.end(), smaller.begin(), smaller.end())) << share;
    smaller = ids;
  }
  EXPECT_NE(kept(path, 0.5), std::vector<int32_t>(smaller.begin(), smaller.begin() + 20));
  EXPECT_NE(kept(path, 0.5), kept(path, 0.5, 10));  // another seed
  EXPECT_EQ(kept(path, 0.5), kept(files.write("b.jsonl", examples(100, 40, 3, 20)), 0.5));

  // A share of 0 is as a weight of 0: unread.
  const DataOptions options{.train = {{path}, {"/nonexistent/c.jsonl", 1.0, 0.0}},
                            .max_length = 32};
  const auto data = make(options);
  EXPECT_NE(data->report().find("left out (share 0)"), std::string::npos) << data->report();
  for (const auto& [id, count] : occurrences(data->next(100))) EXPECT_LT(id, 200);
  check_cursors([&] { return make(options); }, 60, 2);
  EXPECT_THROW(make({.train = {{path, 1.0, 1.5}}}), Error);
}

TEST(SftData, WeightsMayCountByTheSizesOfFiles) {
  const TemporaryFiles files;
  const DataOptions options{.train = {{files.write("a.jsonl", examples(100, 80, 3, 5))},
                                      {files.write("b.jsonl", examples(200, 40, 3, 5)), 1.0, 0.5}},
                            .max_length = 32,
                            .packing = false,
                            .mixing = "sizes",
                            .seed = 9};
  int from_b = 0;
  const int rows = 4000;
  for (const auto& [id, count] : occurrences(make(options)->next(rows))) {
    if (id >= 200) from_b += count;
  }
  const double share = 20.0 / (80 + 20);
  EXPECT_NEAR(from_b / double{rows}, share, 4 * std::sqrt(share * (1 - share) / rows));
  // One epoch of the mixture is one of each file.
  DataOptions ends = options;
  for (const char* epoch : {"total", "first_exhausted", "all_exhausted"}) {
    ends.epoch = epoch;
    EXPECT_EQ(make(ends)->rows_in_epochs(1), 100) << epoch;
  }
  ends.mixing = "shuffled";
  EXPECT_THROW(make(ends), Error);
}

TEST(SftData, AnEpochMayEndWithAFile) {
  const TemporaryFiles files;
  DataOptions options{.train = {{files.write("a.jsonl", examples(100, 40, 3, 5)), 4.0},
                                {files.write("b.jsonl", examples(200, 5, 3, 5)), 1.0}},
                      .packing = false};
  EXPECT_EQ(make(options)->rows_in_epochs(1), 45);
  options.epoch = "first_exhausted";
  EXPECT_EQ(make(options)->rows_in_epochs(1), 25);
  options.epoch = "all_exhausted";
  EXPECT_EQ(make(options)->rows_in_epochs(1), 50);
}

// A packed row gives each of its sequences the very same ids, positions, targets and weights as a
// row of its own.
TEST(SftData, PackedEqualsUnpacked) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", examples(100, 40, 3, 20));
  const Row row = make({.train = {{path}}, .max_length = 64, .seed = 2})->next(1)[0];
  ASSERT_GT(row.size(), 2u);
  const PackedBatch packed = pack(row);
  for (size_t s = 0; s < row.size(); ++s) {
    const PackedBatch alone = pack(std::span(&row[s], 1));
    const auto begin = static_cast<size_t>(packed.sequence_offsets[s]);
    ASSERT_EQ(packed.sequence_offsets[s + 1] - packed.sequence_offsets[s], alone.real_tokens);
    for (size_t i = 0; i < static_cast<size_t>(alone.real_tokens); ++i) {
      EXPECT_EQ(packed.ids[begin + i], alone.ids[i]);
      EXPECT_EQ(packed.positions[begin + i], alone.positions[i]);
      EXPECT_EQ(packed.targets[begin + i], alone.targets[i]);
      EXPECT_EQ(packed.weights[begin + i], alone.weights[i]);
    }
  }
}

TEST(SftData, ReportCountsWhatWasLost) {
  const TemporaryFiles files;
  const std::string path =
      files.write("a.jsonl", examples(100, 5, 10, 10) + examples(200, 2, 50, 50) +
                                 "bad\n{\"input_ids\": [5]}\n");
  const auto data =
      make({.train = {{path}}, .max_length = 32, .packing = false, .skip_bad_lines = true});
  data->next(6);
  const std::string report = data->report();
  expect_contains(report, "5 examples, 50 tokens; so far 60 tokens, 1.20 epochs");
  expect_contains(report, "2 dropped as too long");
  expect_contains(report, "1 with nothing to learn left out");
  expect_contains(report, "1 bad lines skipped");
  const auto cut =
      make({.train = {{path}}, .max_length = 32, .over_long = "truncate", .skip_bad_lines = true});
  expect_contains(cut->report(), "2 cut to max_length");
}

TEST(SftData, WhatCannotBe) {
  const TemporaryFiles files;
  const std::string path = files.write("a.jsonl", examples(100, 5, 10, 10));
  const std::string message = input_error_of([&] { make({.train = {{path}}, .max_length = 8}); });
  expect_contains(message, path);
  expect_contains(message, "5 dropped as too long");
  expect_contains(input_error_of([&] { make({.train = {{path}}, .over_long = "cut"}); }),
                  "data.over_long");
  expect_contains(input_error_of([&] { make({}); }), "data.train");
  const auto data = make({.train = {{path}}});
  expect_contains(input_error_of([&] { data->seek(std::vector<int64_t>{1, 2, 3}); }), "other data");
}

TEST(SftEvaluation, AllExamplesOnceInOrder) {
  const TemporaryFiles files;
  const std::vector<DataPath> paths = {{files.write("a.jsonl", examples(100, 20, 3, 20))},
                                       {files.write("b.jsonl", examples(200, 3, 3, 5))}};
  for (const bool packing : {true, false}) {
    const std::vector<Row> rows = sft_evaluation_rows(
        paths, {.max_length = 32, .packing = packing, .seed = 4}, small_tokenizer());
    std::vector<int32_t> order;
    for (const Row& row : rows) {
      EXPECT_LE(tokens_of(row), 32);
      EXPECT_FALSE(row.empty());
      EXPECT_TRUE(packing || row.size() == 1);
      for (const Example& example : row) order.push_back(example.ids[0]);
    }
    ASSERT_EQ(order.size(), 23u);
    for (int32_t i = 0; i < 20; ++i) EXPECT_EQ(order[i], 100 + i);
    for (int32_t i = 0; i < 3; ++i) EXPECT_EQ(order[20 + i], 200 + i);
    EXPECT_TRUE(!packing || rows.size() < 15);
  }
  EXPECT_TRUE(sft_evaluation_rows({}, {}, small_tokenizer()).empty());
  const std::string empty = files.write("c.jsonl", "");
  EXPECT_THROW(sft_evaluation_rows({{empty}}, {}, small_tokenizer()), Error);
}

}  // namespace
}  // namespace cria
