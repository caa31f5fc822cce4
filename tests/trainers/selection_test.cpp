#include "trainers/rejection/selection.h"

#include <sstream>

#include <gtest/gtest.h>

#include "cria/io/atomic_directory.h"

#include "io/expect_error.h"
#include "support/temporary_directory.h"

namespace cria {
namespace {

PooledSample sample(int32_t prompt, int64_t number, float score, const std::string& text) {
  PooledSample sample{.iteration = 1,
                      .prompt_number = prompt,
                      .sample = number,
                      .temperature = 0.7,
                      .prompt = "prompt \"" + std::to_string(prompt) + "\"",
                      .completion = text,
                      .prompt_ids = {1, prompt + 10, 20},
                      .finished_by_eos = true,
                      .reward_model = "abc",
                      .generator = "def"};
  for (const char c : text) sample.completion_ids.push_back(c);
  sample.completion_ids.push_back(2);
  sample.score.combined = score;
  return sample;
}

std::vector<nlohmann::json> selected(const SelectionOptions& options,
                                     const std::vector<PooledSample>& samples) {
  Selection selection(options);
  for (PooledSample each : samples) selection.add(std::move(each));
  std::vector<nlohmann::json> lines;
  std::istringstream text(selection.lines());
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

std::vector<int> numbers(const std::vector<nlohmann::json>& lines) {
  std::vector<int> numbers;
  for (const auto& line : lines) numbers.push_back(line["sample"]);
  return numbers;
}

TEST(Selection, TheBestOfEachPromptInTheOrderOfPrompts) {
  const std::vector<PooledSample> samples = {sample(5, 0, 0.5f, "a"),  sample(5, 1, 2.0f, "b"),
                                             sample(3, 0, -3.0f, "c"), sample(5, 2, 1.0f, "d"),
                                             sample(3, 1, -1.0f, "e"), sample(3, 2, -2.0f, "f")};
  EXPECT_EQ(numbers(selected({.top = 1}, samples)), (std::vector<int>{1, 1}));
  EXPECT_EQ(numbers(selected({.top = 2}, samples)), (std::vector<int>{1, 2, 1, 2}));
  EXPECT_EQ(numbers(selected({.top = 9}, samples)), (std::vector<int>{1, 2, 0, 1, 2, 0}));
}

TEST(Selection, TrainsOnTheIdsThatWereSampled) {
  const auto line = selected({}, {sample(5, 0, 0.5f, "xy")}).front();
  EXPECT_EQ(line["input_ids"], (std::vector<int>{1, 15, 20, 'x', 'y', 2}));
  EXPECT_EQ(line["labels"], (std::vector<int>{-100, -100, -100, 'x', 'y', 2}));
}

TEST(Selection, TiesGoToTheLaterIterationThenToTheLowerNumber) {
  PooledSample later = sample(1, 7, 1.0f, "d");
  later.iteration = 2;
  const std::vector<PooledSample> samples = {sample(1, 3, 1.0f, "a"), sample(1, 2, 1.0f, "b"),
                                             later, sample(1, 4, 1.0f, "c")};
  EXPECT_EQ(numbers(selected({.top = 3}, samples)), (std::vector<int>{7, 2, 3}));
  const std::vector<PooledSample> reversed(samples.rbegin(), samples.rend());
  EXPECT_EQ(numbers(selected({.top = 3}, reversed)), (std::vector<int>{7, 2, 3}));
}

TEST(Selection, TheSameAnswerCountsOnce) {
  const std::vector<PooledSample> samples = {sample(1, 0, 3.0f, "a"), sample(1, 1, 3.0f, "a"),
                                             sample(1, 2, 2.0f, "b"), sample(2, 0, 1.0f, "a"),
                                             sample(1, 3, 4.0f, "a")};
  EXPECT_EQ(numbers(selected({.top = 2}, samples)), (std::vector<int>{3, 2, 0}));
}

TEST(Selection, AnswersCutOffAreCountedAndLeftOutUnlessKept) {
  PooledSample cut = sample(1, 0, 9.0f, "a");
  cut.finished_by_eos = false;
  PooledSample only = sample(2, 0, 9.0f, "a");
  only.finished_by_eos = false;
  const std::vector<PooledSample> samples = {cut, sample(1, 1, 1.0f, "b"), only};
  EXPECT_EQ(numbers(selected({}, samples)), (std::vector<int>{1}));
  EXPECT_EQ(numbers(selected({.keep_truncated = true}, samples)), (std::vector<int>{0, 0}));
  Selection selection({});
  for (PooledSample each : samples) selection.add(std::move(each));
  const SelectionCounts counts = selection.counts();
  EXPECT_EQ(counts.candidates, 3);
  EXPECT_EQ(counts.truncated, 2);
  EXPECT_EQ(counts.prompts, 2);
  EXPECT_EQ(counts.without_answer, 1);
  EXPECT_EQ(counts.selected, 1);
  EXPECT_EQ(counts.mean_score, 1.0);
}

TEST(SamplePool, LinesComeBackAsTheyWere) {
  PooledSample before = sample(4, 6, 0.1f, "\"ä\n");
  before.is_safety = true;
  before.finished_by_eos = false;
  before.score = {.combined = 0.1f, .helpfulness = -1e-8f, .safety = 1.7346f};
  const PooledSample after = parse_sample(nlohmann::json::parse(to_line(before)), "x");
  EXPECT_EQ(to_line(after), to_line(before));
  EXPECT_EQ(after.score.helpfulness, before.score.helpfulness);
  EXPECT_EQ(after.completion_ids, before.completion_ids);
  EXPECT_TRUE(after.is_safety);
}

TEST(SamplePool, ABadLineNamesItsField) {
  auto line = nlohmann::json::parse(to_line(sample(1, 0, 1.0f, "a")));
  line.erase("completion_ids");
  expect_input_error({"pool.jsonl:7", "completion_ids", "missing"},
                     [&] { parse_sample(line, "pool.jsonl:7"); });
  line["completion_ids"] = "text";
  expect_input_error({"completion_ids", "wrong"}, [&] { parse_sample(line, "x"); });
}

TEST(SamplePool, WhatStandsAreWholePromptsOfWholeLines) {
  TemporaryDirectory directory;
  const std::string path = directory / "pool.jsonl";
  std::string whole;
  std::vector<size_t> ends = {0};  // of each line
  for (int prompt = 0; prompt < 3; ++prompt) {
    for (int number = 0; number < 2; ++number) {
      whole += to_line(sample(prompt, number, 1.0f, "a"));
      ends.push_back(whole.size());
    }
  }
  const auto expected = [](const PooledSample& each, int64_t number) {
    return each.prompt_number == number / 2 && each.sample == number % 2;
  };
  for (size_t size = 0; size <= whole.size(); ++size) {
    write_file_atomically(path, whole.substr(0, size));
    const StandingPart part = standing_part(path, 2, expected);
    size_t lines = 0;
    while (lines + 1 < ends.size() && ends[lines + 1] <= size) ++lines;
    EXPECT_EQ(part.samples, static_cast<int64_t>(lines / 2 * 2)) << size;
    EXPECT_EQ(part.bytes, static_cast<int64_t>(ends[lines / 2 * 2])) << size;
  }
  // Bytes that a crash left without meaning, and lines of another order.
  write_file_atomically(path, whole.substr(0, ends[2]) + std::string(300, '\0') + "\n");
  EXPECT_EQ(standing_part(path, 2, expected).samples, 2);
  write_file_atomically(path, whole.substr(0, ends[2]) + whole.substr(ends[4]));
  EXPECT_EQ(standing_part(path, 2, expected).samples, 2);
  EXPECT_EQ(standing_part(directory / "none", 2, expected).bytes, 0);
}

}  // namespace
}  // namespace cria
