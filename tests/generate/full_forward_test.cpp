// The log-probabilities of sampled tokens against a forward pass over the whole sequence, while
// requests enter and leave the batch and share prompts.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "cria/io/safetensors.h"

#include "generate/engine.h"
#include "support/places.h"

namespace cria::testing {

namespace {

// docs/numerics.md: in fp32 a log-probability of these models is at most 2e-5 from the truth, so
// two ways to compute one are at most twice that apart, over the temperature.
constexpr double kFp32Bound = 2 * 2e-5;

// In bf16 errors agree in distribution with those of the rounded reference, within these factors:
// independent ones add by their squares, the largest at most by themselves.
constexpr double kBf16MeanBound = 1.1 * 1.4142135623730951;
constexpr double kBf16MaximumBound = 2 * 1.5;

struct Distance {
  double maximum = 0.0;
  double sum_of_squares = 0.0;
  int64_t count = 0;

  void add(double difference) {
    if (std::isnan(difference)) difference = HUGE_VAL;
    maximum = std::max(maximum, std::fabs(difference));
    sum_of_squares += difference * difference;
    ++count;
  }
  double root_mean_square() const { return std::sqrt(sum_of_squares / static_cast<double>(count)); }
};

// Of the reference that rounds to bf16 where cria's ops do, from the truth.
Distance rounding_error(const std::string& golden) {
  const SafetensorsFile file(source_path("tests/golden/expected/" + golden + ".safetensors"));
  const auto values = [&](const std::string& name) {
    const SafetensorsTensor* tensor = file.find(name);
    std::vector<float> result(static_cast<size_t>(tensor->shape.elements()));
    convert_elements(*tensor, 0, tensor->shape.elements(), DType::f32, result.data());
    return result;
  };
  const std::vector<float> truth = values("truth"), rounded = values("stored_in_bf16");
  Distance distance;
  for (size_t i = 0; i < truth.size(); ++i) distance.add(double{rounded[i]} - double{truth[i]});
  return distance;
}

// Prompts of ragged lengths around the sizes of a block (8) and of a prefill chunk (16), several
// samples of each, more of them than slots, each of another length and with settings of its own.
std::vector<GenerationRequest> ragged_requests(int64_t vocab_size) {
  std::vector<GenerationRequest> requests;
  const std::vector<int64_t> lengths = {1, 2, 7, 8, 9, 15, 16, 17, 33, 100, 129, 400};
  const std::vector<SamplingSettings> settings = {{.temperature = 1.0f},
                                                  {.temperature = 0.7f, .top_k = 50},
                                                  {.temperature = 1.5f, .top_p = 0.8f}};
  for (size_t p = 0; p < lengths.size(); ++p) {
    const size_t samples = 1 + p % 4;
    for (size_t sample = 0; sample < samples; ++sample) {
      GenerationRequest one{
          .prompt = random_prompt(lengths[p], vocab_size, p),
          .example = sample_example(static_cast<uint32_t>(p), static_cast<uint32_t>(sample)),
          .settings = settings[(p + sample) % settings.size()]};
      one.settings.max_new_tokens = static_cast<int64_t>(5 + (17 * p + 31 * sample) % 60);
      requests.push_back(one);
    }
  }
  return requests;
}

// Each difference times its temperature: logits differ, and are divided by it.
Distance distance_from_full_forward(Engine& engine, const std::vector<GenerationRequest>& requests,
                                    const std::vector<GenerationResult>& results) {
  Distance distance;
  for (size_t i = 0; i < requests.size(); ++i) {
    const GenerationRequest& request = requests[i];
    const auto scored = engine.small().score(joined(request.prompt, results[i].tokens),
                                             request.settings.temperature);
    EXPECT_EQ(static_cast<int64_t>(results[i].tokens.size()), request.settings.max_new_tokens);
    const size_t first = request.prompt.size() - 1;
    for (size_t t = 0; t < results[i].tokens.size(); ++t) {
      distance.add((double{results[i].logprobs[t]} - double{scored.logprobs[first + t]}) *
                   double{request.settings.temperature});
    }
  }
  return distance;
}

class FullForward : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, FullForward,
                         ::testing::Values("mha_tied", "gqa_untied", "mqa_untied"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(FullForward, Fp32LogprobsOfEverySampledTokenAgree) {
  Engine engine(GetParam(), {.slots = 4}, DType::f32);
  const std::vector<GenerationRequest> requests = ragged_requests(engine.vocab_size());
  const auto results = engine.generator().generate(requests);
  const Distance distance = distance_from_full_forward(engine, requests, results);
  EXPECT_GT(distance.count, 800);
  EXPECT_LE(distance.maximum, kFp32Bound);
}

TEST_P(FullForward, Bf16LogprobsOfEverySampledTokenAgree) {
  Engine engine(GetParam(), {.slots = 4}, DType::bf16);
  const std::vector<GenerationRequest> requests = ragged_requests(engine.vocab_size());
  const auto results = engine.generator().generate(requests);
  const Distance distance = distance_from_full_forward(engine, requests, results);
  const Distance rounding = rounding_error(GetParam());
  EXPECT_LE(distance.root_mean_square(), kBf16MeanBound * rounding.root_mean_square());
  EXPECT_LE(distance.maximum, kBf16MaximumBound * rounding.maximum);
}

// Prompts that come in together, each beginning with the one before, which ends within a block that
// has to be copied after it was computed.
TEST_P(FullForward, PromptsThatComeInTogetherMayShareTheirBeginning) {
  Engine engine(GetParam(), {.slots = 3, .keep_prefix = true}, DType::f32);
  std::vector<GenerationRequest> requests;
  const std::vector<int32_t> longest = random_prompt(40, engine.vocab_size(), 3);
  for (const int64_t length : {6, 20, 40}) {
    requests.push_back({.prompt = {longest.begin(), longest.begin() + length},
                        .example = requests.size(),
                        .settings = {.max_new_tokens = 12}});
  }
  const auto results = engine.generator().generate(requests);
  const Distance distance = distance_from_full_forward(engine, requests, results);
  EXPECT_LE(distance.maximum, kFp32Bound);
}

// Turns of a dialogue, each going on from the cache of those before; then a dialogue that parts
// from it in the middle of a block, and one that has nothing in common with it.
TEST_P(FullForward, KeptPrefixesGiveTheSameLogprobs) {
  Engine engine(GetParam(), {.slots = 1, .keep_prefix = true}, DType::f32);
  const int64_t vocab_size = engine.vocab_size();
  std::vector<GenerationRequest> requests;
  std::vector<GenerationResult> results;
  const auto generate = [&](std::vector<int32_t> prompt, int64_t new_tokens) {
    requests.push_back({.prompt = std::move(prompt),
                        .example = requests.size(),
                        .settings = {.max_new_tokens = new_tokens}});
    results.push_back(engine.generate_one(requests.back()));
    return joined(requests.back().prompt, results.back().tokens);
  };
  std::vector<int32_t> dialogue;
  std::vector<std::vector<int32_t>> states;
  for (uint64_t turn = 0; turn < 6; ++turn) {
    const auto length = static_cast<int64_t>(3 + 9 * turn);
    dialogue = generate(joined(dialogue, random_prompt(length, vocab_size, turn)),
                        static_cast<int64_t>(30 - 3 * turn));
    states.push_back(engine.generator().blocks_in_use()[0]);
    // All but the last token, which no later one has looked at yet.
    const auto cached = static_cast<int64_t>(dialogue.size()) - 1;
    ASSERT_EQ(static_cast<int64_t>(states.back().size()),
              engine.generator().cache().blocks_for(cached));
  }
  for (size_t turn = 1; turn < states.size(); ++turn) {
    ASSERT_GT(states[turn].size(), states[turn - 1].size());
    // The block that was partly filled may have been copied; the rest must still be there.
    EXPECT_TRUE(
        std::equal(states[turn - 1].begin(), states[turn - 1].end() - 1, states[turn].begin()))
        << "turn " << turn << " computed its past again";
  }
  dialogue.resize(43);
  generate(joined(dialogue, random_prompt(20, vocab_size, 100)), 20);
  generate(random_prompt(50, vocab_size, 101), 20);
  generate(random_prompt(50, vocab_size, 101), 20);  // again
  generate(random_prompt(21, vocab_size, 101), 20);  // its beginning
  generate(random_prompt(1, vocab_size, 101), 20);
  EXPECT_LE(distance_from_full_forward(engine, requests, results).maximum, kFp32Bound);
}

}  // namespace

}  // namespace cria::testing
