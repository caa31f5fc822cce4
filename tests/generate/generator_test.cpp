#include "cria/generate/generator.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "generate/small_model.h"

namespace cria {
namespace {

using testing::random_prompt;
using testing::small_config;
using testing::SmallModel;

// A model with a generator on top, small enough that prompts are longer than blocks and chunks.
class Engine {
 public:
  explicit Engine(const ModelConfig& config, GeneratorOptions options = {},
                  DType dtype = DType::f32)
      : small_(config, dtype), generator_(small_.model(), with_small_blocks(options)) {
    generator_.reserve(small_.arena());
    small_.load();
  }

  Generator& generator() { return generator_; }
  SmallModel& small() { return small_; }

  GenerationResult generate_one(const GenerationRequest& request) {
    return generator_.generate(std::span(&request, 1)).front();
  }

 private:
  static GeneratorOptions with_small_blocks(GeneratorOptions options) {
    options.block_size = 8;
    options.prefill_rows = 16;
    options.seed = 5;
    return options;
  }

  SmallModel small_;
  Generator generator_;
};

std::vector<int32_t> joined(std::vector<int32_t> ids, const std::vector<int32_t>& more) {
  ids.insert(ids.end(), more.begin(), more.end());
  return ids;
}

GenerationRequest request(int64_t prompt_length, uint64_t example, SamplingSettings settings) {
  return {.prompt = random_prompt(prompt_length, 97, example),
          .example = example,
          .settings = std::move(settings)};
}

struct Heads {
  int heads;
  int key_value_heads;
};
class GeneratorHeads : public ::testing::TestWithParam<Heads> {};
INSTANTIATE_TEST_SUITE_P(Attention, GeneratorHeads,
                         ::testing::Values(Heads{4, 4}, Heads{4, 2}, Heads{4, 1}));

// Prompts around the sizes of a block (8) and of a prefill chunk (16).
TEST_P(GeneratorHeads, GreedyIsArgmaxOfFullForward) {
  Engine engine(small_config(GetParam().heads, GetParam().key_value_heads), {.slots = 3});
  std::vector<GenerationRequest> requests;
  for (const int64_t length : {1, 2, 8, 9, 16, 17, 18, 33, 64, 65, 130}) {
    requests.push_back(request(length, static_cast<uint64_t>(length),
                               {.temperature = 0.0f, .max_new_tokens = 21}));
  }
  const std::vector<GenerationResult> results = engine.generator().generate(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_EQ(results[i].tokens.size(), 21u);
    const auto scored = engine.small().score(joined(requests[i].prompt, results[i].tokens));
    const size_t first = requests[i].prompt.size() - 1;
    for (size_t t = 0; t < results[i].tokens.size(); ++t) {
      EXPECT_EQ(results[i].tokens[t], scored.predictions[first + t])
          << "prompt of " << first + 1 << " tokens, new token " << t;
    }
  }
}

// Logits of a few units, each a sum of 48 fp32 products on top of three layers: differences in the
// order of summation reach some 1e-6 relative.
TEST_P(GeneratorHeads, LogprobsAreThoseOfFullForward) {
  Engine engine(small_config(GetParam().heads, GetParam().key_value_heads), {.slots = 4});
  std::vector<GenerationRequest> requests;
  const std::vector<SamplingSettings> settings = {
      {.temperature = 1.0f, .max_new_tokens = 40},
      {.temperature = 0.7f, .top_k = 5, .max_new_tokens = 40},
      {.temperature = 1.5f, .top_p = 0.8f, .max_new_tokens = 40}};
  for (uint64_t i = 0; i < 9; ++i) {
    requests.push_back(request(static_cast<int64_t>(3 + 11 * i), i, settings[i % 3]));
  }
  const std::vector<GenerationResult> results = engine.generator().generate(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto scored = engine.small().score(joined(requests[i].prompt, results[i].tokens),
                                             requests[i].settings.temperature);
    const size_t first = requests[i].prompt.size() - 1;
    for (size_t t = 0; t < results[i].tokens.size(); ++t) {
      EXPECT_NEAR(results[i].logprobs[t], scored.logprobs[first + t], 5e-5);
    }
  }
}

class GeneratorBits : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Precision, GeneratorBits, ::testing::Values(DType::f32, DType::bf16));

// The same request alone, among others, in another slot, and after a prompt shared with others.
TEST_P(GeneratorBits, SampleDoesNotDependOnCompany) {
  Engine engine(small_config(4, 2), {.slots = 5}, GetParam());
  std::vector<GenerationRequest> requests;
  for (uint64_t i = 0; i < 12; ++i) {
    requests.push_back(request(static_cast<int64_t>(5 + 7 * i), i,
                               {.max_new_tokens = static_cast<int64_t>(30 - 2 * i)}));
    requests.push_back(requests.back());  // a second sample of the prompt
    requests.back().example = sample_example(static_cast<uint32_t>(i), 1);
  }
  std::vector<GenerationResult> alone;
  for (const GenerationRequest& one : requests) alone.push_back(engine.generate_one(one));

  const auto expect_same = [&](const std::vector<size_t>& order) {
    std::vector<GenerationRequest> shuffled;
    for (const size_t i : order) shuffled.push_back(requests[i]);
    const std::vector<GenerationResult> results = engine.generator().generate(shuffled);
    for (size_t i = 0; i < order.size(); ++i) {
      EXPECT_EQ(results[i].tokens, alone[order[i]].tokens);
      EXPECT_EQ(results[i].logprobs, alone[order[i]].logprobs);
    }
  };
  std::vector<size_t> order(requests.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  expect_same(order);
  std::reverse(order.begin(), order.end());
  expect_same(order);
  for (size_t i = 0; i < order.size(); ++i) order[i] = (7 * i) % order.size();
  expect_same(order);
  EXPECT_NE(alone[0].tokens, alone[1].tokens) << "two samples of one prompt must differ";
}

TEST(Generator, SeedChangesSamples) {
  const GenerationRequest one = request(10, 3, {.max_new_tokens = 20});
  Engine engine(small_config(4, 4));
  GeneratorOptions options{.slots = 16, .block_size = 8, .prefill_rows = 16, .seed = 6};
  SmallModel small(small_config(4, 4), DType::f32);
  Generator other(small.model(), options);
  other.reserve(small.arena());
  small.load();
  EXPECT_NE(other.generate(std::span(&one, 1)).front().tokens, engine.generate_one(one).tokens);
}

TEST(Generator, ReturnsEveryBlock) {
  Engine engine(small_config(4, 2), {.slots = 3});
  const int64_t free_blocks = engine.generator().cache().free_blocks();
  for (uint64_t round = 0; round < 20; ++round) {
    std::vector<GenerationRequest> requests;
    for (uint64_t i = 0; i < 7; ++i) {
      const auto length = static_cast<int64_t>(1 + (13 * round + i / 2 * 29) % 250);
      requests.push_back(request(length, i / 2, {.max_new_tokens = 1 + 5 * static_cast<int>(i)}));
      requests.back().prompt = random_prompt(length, 97, round + i / 2);
    }
    engine.generator().generate(requests);
    EXPECT_EQ(engine.generator().cache().free_blocks(), free_blocks);
  }
}

TEST(Generator, StopsAtAnyStopId) {
  Engine engine(small_config(4, 4));
  GenerationRequest greedy = request(12, 1, {.temperature = 0.0f, .max_new_tokens = 30});
  const GenerationResult whole = engine.generate_one(greedy);
  EXPECT_FALSE(whole.finished_by_eos);
  ASSERT_EQ(whole.tokens.size(), 30u);

  const int32_t stop = whole.tokens[9];
  const auto first = std::find(whole.tokens.begin(), whole.tokens.end(), stop);
  greedy.settings.stop_ids = {-1, stop};
  const GenerationResult stopped = engine.generate_one(greedy);
  EXPECT_TRUE(stopped.finished_by_eos);
  EXPECT_EQ(stopped.tokens, std::vector<int32_t>(whole.tokens.begin(), first + 1));
  EXPECT_EQ(stopped.logprobs.size(), stopped.tokens.size());
}

TEST(Generator, FillsTheContextAndNoMore) {
  Engine engine(small_config(4, 4), {.slots = 2, .max_context = 40});
  EXPECT_EQ(engine.generate_one(request(30, 1, {.max_new_tokens = 100})).tokens.size(), 10u);
  EXPECT_EQ(engine.generate_one(request(39, 1, {.max_new_tokens = 100})).tokens.size(), 1u);
  EXPECT_THROW(engine.generate_one(request(40, 1, {})), Error);
}

TEST(Generator, NoRequestsNoResults) {
  Engine engine(small_config(4, 4));
  EXPECT_TRUE(engine.generator().generate({}).empty());
}

void expect_input_error(const std::function<void()>& act, const std::string& fragment) {
  try {
    act();
    FAIL() << "no error that mentions " << fragment;
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 2);
    EXPECT_NE(std::string(error.what()).find(fragment), std::string::npos) << error.what();
  }
}

TEST(Generator, BadRequestsAreRefusedBeforeAnyBegins) {
  Engine engine(small_config(4, 4));
  const auto refuse = [&](GenerationRequest bad, const std::string& fragment) {
    const std::vector<GenerationRequest> requests = {request(3, 1, {.max_new_tokens = 2}), bad};
    expect_input_error([&] { engine.generator().generate(requests); }, fragment);
  };
  refuse({.prompt = {}}, "prompt 1: the prompt is empty");
  refuse({.prompt = {1, 97}}, "token id 97");
  refuse({.prompt = {1, -1}}, "token id -1");
  refuse(request(301, 1, {}), "301 tokens");
  refuse(request(3, 1, {.temperature = -1.0f}), "temperature");
  refuse(request(3, 1, {.temperature = std::nanf("")}), "temperature");
  refuse(request(3, 1, {.top_k = -1}), "top_k");
  refuse(request(3, 1, {.top_p = 0.0f}), "top_p");
  refuse(request(3, 1, {.top_p = 1.5f}), "top_p");
  refuse(request(3, 1, {.max_new_tokens = 0}), "max_new_tokens");
}

TEST(Generator, BadOptionsAreRefused) {
  SmallModel small(small_config(4, 4), DType::f32);
  const auto make = [&](GeneratorOptions options) { Generator(small.model(), options); };
  expect_input_error([&] { make({.slots = 0}); }, "slots");
  expect_input_error([&] { make({.max_context = 301}); }, "max_context");
  ModelConfig reward = small_config(4, 4);
  reward.head = HeadKind::score;
  ParameterLayout layout(reward);
  Model model(layout, DType::f32, small.model().backend());
  expect_input_error([&] { Generator(model, {}); }, "reward model");
}

// Weights that are not finite must not come out as text.
TEST(Generator, LogitsThatAreNotFiniteAreAFailure) {
  Engine engine(small_config(4, 4));
  const Tensor norm = engine.small().model().weights.final_norm();
  norm.as<float>()[0] = std::nanf("");
  EXPECT_THROW(engine.generate_one(request(3, 1, {.max_new_tokens = 2})), Error);
}

}  // namespace
}  // namespace cria
