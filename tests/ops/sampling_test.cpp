#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <omp.h>

#include "cria/core/random.h"

#include "ops/op_test.h"

namespace cria::testing {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr uint64_t kSeed = 77;

struct Settings {
  double temperature = 1.0;
  int32_t top_k = 0;
  double top_p = 1.0;
};

struct Key {
  uint64_t example;
  uint64_t position;
};

struct Result {
  std::vector<int32_t> tokens;
  std::vector<double> logprobs;
};

// log softmax(logits / temperature)
std::vector<double> reference_logprobs(const std::vector<double>& logits, double temperature) {
  const double maximum = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double logit : logits) sum += std::exp((logit - maximum) / temperature);
  std::vector<double> result;
  for (const double logit : logits) {
    result.push_back((logit - maximum) / temperature - std::log(sum));
  }
  return result;
}

// The distribution that is drawn from, straight from the definition: sort all, cut, renormalise.
std::vector<double> reference_distribution(const std::vector<double>& logits,
                                           const Settings& settings) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  if (settings.top_k > 0) order.resize(std::min<size_t>(order.size(), settings.top_k));
  const auto logprobs = reference_logprobs(logits, settings.temperature);
  double left = 0;
  for (const size_t id : order) left += std::exp(logprobs[id]);
  double reached = 0;
  size_t kept = 0;
  while (kept < order.size() && (settings.top_p == 1.0 || reached < settings.top_p * left)) {
    reached += std::exp(logprobs[order[kept++]]);
  }
  std::vector<double> result(logits.size());
  for (size_t i = 0; i < kept; ++i) result[order[i]] = std::exp(logprobs[order[i]]) / reached;
  return result;
}

class SamplingTest : public OpTest {
 protected:
  // One row for each key; rows of logits and settings are repeated in turn.
  Result run(const std::vector<std::vector<double>>& logits, const std::vector<Settings>& settings,
             const std::vector<Key>& keys) {
    const auto rows = static_cast<int64_t>(keys.size());
    const auto vocab_size = static_cast<int64_t>(logits[0].size());
    std::vector<double> all_logits, temperatures, top_p;
    std::vector<int32_t> top_k, words;
    for (size_t r = 0; r < keys.size(); ++r) {
      const auto& row = logits[r % logits.size()];
      all_logits.insert(all_logits.end(), row.begin(), row.end());
      temperatures.push_back(settings[r % settings.size()].temperature);
      top_k.push_back(settings[r % settings.size()].top_k);
      top_p.push_back(settings[r % settings.size()].top_p);
      for (const uint64_t word : {keys[r].example, keys[r].position}) {
        words.push_back(static_cast<int32_t>(static_cast<uint32_t>(word)));
        words.push_back(static_cast<int32_t>(static_cast<uint32_t>(word >> 32)));
      }
    }
    const DeviceTensor tokens(*this, {rows}, DType::i32);
    const DeviceTensor logprobs(*this, {rows}, DType::f32);
    const DeviceTensor logits_in(*this, {rows, vocab_size}, all_logits, DType::f32);
    const DeviceTensor temperatures_in(*this, {rows}, temperatures, DType::f32);
    const DeviceTensor top_k_in(*this, {rows}, top_k);
    const DeviceTensor top_p_in(*this, {rows}, top_p, DType::f32);
    const DeviceTensor keys_in(*this, {rows, 4}, words);
    const Workspace workspace(*this, backend().sampling_workspace_bytes(rows, vocab_size));
    backend().sampling({.tokens = tokens.tensor(),
                        .logprobs = logprobs.tensor(),
                        .logits = logits_in.tensor(),
                        .temperatures = temperatures_in.tensor(),
                        .top_k = top_k_in.tensor(),
                        .top_p = top_p_in.tensor(),
                        .keys = keys_in.tensor(),
                        .seed = kSeed,
                        .workspace = workspace.tensor()});
    return {tokens.integers(), logprobs.values()};
  }

  // The emulator takes milliseconds for a row: a tenth of the draws.
  bool is_slow() const { return GetParam().device == "emulated"; }
  size_t draws(size_t count) const { return is_slow() ? count / 10 : count; }

  static std::vector<Key> keys(size_t count, uint64_t example = 0x123456789abcdefull,
                               uint64_t first = (uint64_t{3} << 40)) {
    std::vector<Key> result;
    for (size_t i = 0; i < count; ++i) result.push_back({example, first + i});
    return result;
  }

  // Every draw must be the token at which the reference's cumulative sum passes the key's uniform
  // number; where that number lies within 1e-6 of a step either side of it will do.
  void check_draws(const std::vector<double>& logits, const Settings& settings, size_t count) {
    SCOPED_TRACE(fmt::format("V {} temperature {} top_k {} top_p {}", logits.size(),
                             settings.temperature, settings.top_k, settings.top_p));
    const auto row_keys = keys(count);
    const Result result = run({logits}, {settings}, row_keys);
    const auto distribution = reference_distribution(logits, settings);
    const auto logprobs = reference_logprobs(logits, settings.temperature);
    std::vector<double> expected_logprobs;
    for (size_t r = 0; r < count; ++r) {
      const auto token = static_cast<size_t>(result.tokens[r]);
      ASSERT_LT(token, logits.size());
      ASSERT_GT(distribution[token], 0.0) << "token " << token << " was cut";
      const double uniform =
          Random(kSeed, Purpose::token_sampling, row_keys[r].example).uniform(row_keys[r].position);
      const double above = std::accumulate(
          distribution.begin(), distribution.begin() + static_cast<int64_t>(token) + 1, 0.0);
      ASSERT_GT(above, uniform - 1e-6);
      ASSERT_LE(above - distribution[token], uniform + 1e-6);
      expected_logprobs.push_back(logprobs[token]);
    }
    expect_close(result.logprobs, expected_logprobs, tolerance("sampling_logprob", DType::f32));
  }
};

// Logits are fp32 whatever the model computes in.
INSTANTIATE_TEST_SUITE_P(Devices, SamplingTest, ::testing::ValuesIn([] {
                           std::vector<OpCase> cases = test_cases();
                           std::erase_if(cases,
                                         [](const OpCase& c) { return c.dtype != DType::f32; });
                           return cases;
                         }()),
                         case_name);

TEST_P(SamplingTest, DrawsInvertTheCumulativeSum) {
  for (const int64_t vocab_size : {1, 2, 3, 63, 256, 257, 600}) {
    for (const double temperature : {0.5, 1.0, 1.3}) {
      check_draws(random_values(vocab_size, 1, 2.0), {.temperature = temperature}, draws(150));
    }
  }
}

// Integer logits: ties everywhere, so that the order within them decides what stays.
TEST_P(SamplingTest, RestrictionsKeepExactlyTheRightTokens) {
  for (const int64_t vocab_size : {3, 257}) {
    for (const bool ties : {false, true}) {
      auto logits = random_values(vocab_size, 2, 2.0);
      for (double& logit : logits) logit = ties ? std::round(logit) : logit;
      for (const int32_t top_k : {0, 1, 2, 50, 256, 257, 5000}) {
        for (const double top_p : {0.001f, 0.3f, 0.777f, 0.95f, 1.0f}) {
          check_draws(logits, {.temperature = 1.1f, .top_k = top_k, .top_p = top_p}, draws(30));
        }
      }
    }
  }
}

// A vocabulary of several thousand, where a GPU takes another number of threads.
TEST_P(SamplingTest, LongRows) {
  const auto logits = random_values(5001, 8, 2.0);
  check_draws(logits, {}, draws(100));
  check_draws(logits, {.temperature = 1.3f, .top_k = 100, .top_p = 0.9f}, draws(20));
  const Result greedy = run({logits}, {{.temperature = 0}}, keys(1));
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  EXPECT_EQ(greedy.tokens[0], best);
}

// A flat distribution, where nothing is negligible: the first half of the ids stays.
TEST_P(SamplingTest, TopPOfEqualLogits) {
  check_draws(std::vector<double>(1000, 3.0), {.top_p = 0.5}, draws(300));
  check_draws(std::vector<double>(1000, 3.0), {.top_k = 10}, draws(100));
}

// Equal weights and uniform numbers that are multiples of 1 / V: the target falls exactly on a step
// of the cumulative sum, which must exceed it.
TEST_P(SamplingTest, StepsBelongToTheNextToken) {
  constexpr size_t kVocabSize = 1024;
  const Random random(kSeed, Purpose::token_sampling);
  std::vector<Key> on_a_step;
  std::vector<int32_t> expected;
  for (uint64_t position = 0; position < 100000; ++position) {
    const float scaled = random.uniform(position) * kVocabSize;
    if (scaled != std::floor(scaled)) continue;
    on_a_step.push_back({0, position});
    expected.push_back(static_cast<int32_t>(scaled));
  }
  ASSERT_FALSE(expected.empty());
  EXPECT_EQ(run({std::vector<double>(kVocabSize, 1.0)}, {{}}, on_a_step).tokens, expected);
}

// Pearson's statistic of n draws over k + 1 tokens follows the chi-square distribution with k
// degrees of freedom, which exceeds k + 2 sqrt(k x) + 2 x with probability e^-x at most (Laurent &
// Massart 2000, lemma 1). x = 14: once in a million runs, and the keys are fixed.
TEST_P(SamplingTest, FrequenciesFollowTheSoftmax) {
  // Fewer draws need fewer tokens for every one of them to be drawn.
  const size_t count = is_slow() ? 500 : 40000;
  const int vocab_size = is_slow() ? 8 : 24;
  const auto logits = random_values(vocab_size, 3);
  for (const Settings& settings : {Settings{}, Settings{.temperature = 0.7f},
                                   Settings{.temperature = 1.5f, .top_k = vocab_size * 3 / 8},
                                   Settings{.temperature = 1.0, .top_k = 0, .top_p = 0.8f}}) {
    SCOPED_TRACE(fmt::format("temperature {} top_k {} top_p {}", settings.temperature,
                             settings.top_k, settings.top_p));
    const auto distribution = reference_distribution(logits, settings);
    std::vector<double> counts(logits.size());
    for (const int32_t token : run({logits}, {settings}, keys(count)).tokens) counts[token] += 1;
    double statistic = 0;
    double degrees = -1;
    for (size_t id = 0; id < logits.size(); ++id) {
      const double expected = static_cast<double>(count) * distribution[id];
      if (expected == 0) {
        EXPECT_EQ(counts[id], 0) << "token " << id;
        continue;
      }
      ASSERT_GE(expected, 5) << "too few draws for the statistic";
      statistic += (counts[id] - expected) * (counts[id] - expected) / expected;
      degrees += 1;
    }
    EXPECT_LT(statistic, degrees + 2 * std::sqrt(14 * degrees) + 28);
  }
}

TEST_P(SamplingTest, GreedyTakesTheLowestOfTheLargest) {
  auto logits = random_values(300, 4);
  logits[70] = logits[260] = logits[299] = 50;
  // Restrictions do not matter to it, nor does the key.
  const Result result =
      run({logits}, {{.temperature = 0}, {.temperature = 0, .top_k = 2, .top_p = 0.1f}}, keys(40));
  EXPECT_EQ(result.tokens, std::vector<int32_t>(40, 70));
  expect_close(result.logprobs, std::vector<double>(40, reference_logprobs(logits, 1)[70]),
               tolerance("sampling_logprob", DType::f32));
}

TEST_P(SamplingTest, NearZeroTemperatureIsGreedyWithCertainty) {
  const auto logits = random_values(100, 5);
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  const Result result = run({logits}, {{.temperature = 1e-30}}, keys(20));
  EXPECT_EQ(result.tokens, std::vector<int32_t>(20, static_cast<int32_t>(best)));
  EXPECT_EQ(result.logprobs, std::vector<double>(20, 0.0));
}

// The same row, alone and among others with settings of their own, on any number of threads.
TEST_P(SamplingTest, RowsAreIndependent) {
  constexpr size_t kRows = 12;
  std::vector<std::vector<double>> logits;
  for (size_t r = 0; r < kRows; ++r) logits.push_back(random_values(700, 10 + r, 2.0));
  const std::vector<Settings> settings = {
      {},           {.temperature = 0}, {.temperature = 0.8f, .top_k = 20},
      {.top_k = 3}, {.top_k = 2},       {.top_p = 0.9f}};
  const auto row_keys = keys(kRows);
  const Result together = run(logits, settings, row_keys);
  const int threads = omp_get_max_threads();
  for (const int count : {1, 3}) {
    omp_set_num_threads(count);
    const Result again = run(logits, settings, row_keys);
    EXPECT_EQ(again.tokens, together.tokens);
    EXPECT_EQ(again.logprobs, together.logprobs);
  }
  omp_set_num_threads(threads);
  for (size_t r = 0; r < kRows; ++r) {
    const Result alone = run({logits[r]}, {settings[r % settings.size()]}, {row_keys[r]});
    EXPECT_EQ(alone.tokens[0], together.tokens[r]);
    EXPECT_EQ(alone.logprobs[0], together.logprobs[r]);
  }
}

TEST_P(SamplingTest, BothZerosAreEqual) {
  std::vector<double> logits(40);
  for (size_t id = 0; id < logits.size(); id += 2) logits[id] = -0.0;
  check_draws(logits, {.top_k = 10}, draws(200));
}

TEST_P(SamplingTest, EveryPartOfTheKeyCounts) {
  const std::vector<double> flat(1000);
  const auto draw = [&](Key key) { return run({flat}, {{}}, {key}).tokens[0]; };
  const int32_t first = draw({1, 1});
  EXPECT_EQ(draw({1, 1}), first);
  EXPECT_NE(draw({2, 1}), first);
  EXPECT_NE(draw({1 + (uint64_t{1} << 32), 1}), first);
  EXPECT_NE(draw({1, 2}), first);
  EXPECT_NE(draw({1, 1 + (uint64_t{1} << 32)}), first);
}

TEST_P(SamplingTest, ForbiddenTokensAreNeverDrawn) {
  auto logits = random_values(300, 6);
  for (size_t id = 0; id < logits.size(); ++id) {
    if (id % 3 != 1) logits[id] = -kInfinity;
  }
  check_draws(logits, {}, draws(200));
  check_draws(logits, {.top_k = 200}, draws(200));  // more than are allowed
  check_draws(logits, {.top_p = 0.9f}, draws(200));
}

TEST_P(SamplingTest, RowsThatAreNotFiniteShowInTheirLogprob) {
  const auto good = random_values(300, 7);
  auto with_nan = good;
  with_nan[123] = std::nan("");
  auto with_infinity = good;
  with_infinity[299] = kInfinity;
  const std::vector<std::vector<double>> logits = {good, with_nan, with_infinity,
                                                   std::vector<double>(300, std::nan("")),
                                                   std::vector<double>(300, -kInfinity)};
  for (const Settings& settings :
       {Settings{}, Settings{.temperature = 0}, Settings{.top_k = 5}, Settings{.top_p = 0.5}}) {
    const Result result = run(logits, {settings}, keys(logits.size()));
    EXPECT_EQ(result.tokens[0], run({good}, {settings}, keys(1)).tokens[0]);
    EXPECT_TRUE(std::isfinite(result.logprobs[0]));
    for (size_t r = 1; r < logits.size(); ++r) {
      EXPECT_EQ(result.tokens[r], 0);
      EXPECT_TRUE(std::isnan(result.logprobs[r]));
    }
  }
}

}  // namespace

}  // namespace cria::testing
