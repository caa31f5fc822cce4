#include "cria/generate/generator.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

#include <gtest/gtest.h>

#include "generate/engine.h"

namespace cria {
namespace {

using testing::Engine;
using testing::joined;
using testing::request;
using testing::small_config;
using testing::SmallModel;

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

TEST(Generator, SamplesDependOnPromptNumberAndSampleNumber) {
  Engine engine(small_config(4, 4));
  std::vector<GenerationRequest> requests;
  for (const uint64_t example :
       {sample_example(0, 0), sample_example(0, 1), sample_example(1, 0), sample_example(1, 1)}) {
    requests.push_back(request(10, 3, {.max_new_tokens = 20}));
    requests.back().example = example;
  }
  const auto results = engine.generator().generate(requests);
  for (size_t i = 0; i < results.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(results[i].tokens, results[j].tokens);
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

TEST(Generator, TheListenerHearsEveryToken) {
  Engine engine(small_config(4, 4), {.slots = 3});
  std::vector<GenerationRequest> requests;
  for (uint64_t i = 0; i < 7; ++i) {
    requests.push_back(request(4, i, {.max_new_tokens = static_cast<int64_t>(3 + 2 * i)}));
  }
  std::vector<std::vector<int32_t>> heard(requests.size());
  std::vector<int> ended(requests.size(), 0);
  const auto results = engine.generator().generate(requests, [&](const DrawnToken& token) {
    heard[token.request].push_back(token.id);
    if (token.last) ++ended[token.request];
    EXPECT_EQ(token.last, heard[token.request].size() == 3 + 2 * token.request);
    return AfterToken::go_on;
  });
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(heard[i], results[i].tokens);
    EXPECT_EQ(ended[i], 1);
    EXPECT_TRUE(results[i].complete);
  }
}

TEST(Generator, TheListenerEndsOneAnswerOrAll) {
  Engine engine(small_config(4, 4), {.slots = 2});
  std::vector<GenerationRequest> requests;
  for (uint64_t i = 0; i < 4; ++i) requests.push_back(request(4, i, {.max_new_tokens = 10}));
  size_t drawn = 0;
  const auto results = engine.generator().generate(requests, [&](const DrawnToken& token) {
    if (token.request == 0) return AfterToken::end_answer;
    if (token.request == 2 && ++drawn == 2) return AfterToken::end_all;
    return AfterToken::go_on;
  });
  EXPECT_EQ(results[0].tokens.size(), 1u);
  EXPECT_FALSE(results[0].complete);
  EXPECT_EQ(results[2].tokens.size(), 2u);
  EXPECT_FALSE(results[2].complete);
  EXPECT_FALSE(results[1].complete);
  EXPECT_TRUE(results[3].tokens.empty()) << "not begun: both slots were in use";
  EXPECT_FALSE(results[3].complete);
}

TEST(Generator, GoesOnAfterAnException) {
  Engine engine(small_config(4, 4), {.slots = 2});
  const KvCache& cache = engine.generator().cache();
  const std::vector<GenerationRequest> requests = {request(30, 1, {.max_new_tokens = 10}),
                                                   request(9, 2, {.max_new_tokens = 10}),
                                                   request(50, 3, {.max_new_tokens = 10})};
  const auto before = engine.generator().generate(requests);
  int tokens = 0;
  EXPECT_THROW(engine.generator().generate(requests,
                                           [&](const DrawnToken&) {
                                             if (++tokens == 5) throw std::runtime_error("enough");
                                             return AfterToken::go_on;
                                           }),
               std::runtime_error);
  EXPECT_EQ(cache.free_blocks(), cache.block_count());

  Backend& backend = engine.small().model().backend();
  const Tensor weight = engine.small().model().weights.final_norm().flat(0, 1);
  float sound = 0.0f;
  backend.copy_to_host(&sound, weight);
  const float unsound = std::nanf("");
  backend.copy_from_host(weight, &unsound);
  EXPECT_THROW(engine.generator().generate(requests), Error);
  EXPECT_EQ(cache.free_blocks(), cache.block_count());
  backend.copy_from_host(weight, &sound);

  const auto after = engine.generator().generate(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(after[i].tokens, before[i].tokens);
    EXPECT_EQ(after[i].logprobs, before[i].logprobs);
  }
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
  const Model& model = engine.small().model();
  const float unsound = std::nanf("");
  model.backend().copy_from_host(model.weights.final_norm().flat(0, 1), &unsound);
  EXPECT_THROW(engine.generate_one(request(3, 1, {.max_new_tokens = 2})), Error);
}

}  // namespace
}  // namespace cria
