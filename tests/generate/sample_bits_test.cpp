// A sample depends on its request alone, to the bit: whatever else is in the batch, however often
// it is drawn.
#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

#include "generate/engine.h"

namespace cria::testing {

namespace {

constexpr uint32_t kSamples = 4;

struct Setup {
  std::string device;
  DType dtype;
  int threads;
  uint32_t prompts;
  uint32_t new_tokens;
};

// Fewer with two threads, which take long for models as small as this, and on other devices.
std::vector<Setup> setups() {
  std::vector<Setup> result;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    result.push_back({"cpu", dtype, 1, 8, 24});
    result.push_back({"cpu", dtype, 2, 2, 24});
    for (const std::string& device : usable_devices()) {
      if (device != "cpu") result.push_back({device, dtype, 1, 2, 5});
    }
  }
  return result;
}

// Samples of prompts of ragged lengths, of different lengths and settings themselves.
std::vector<GenerationRequest> many_samples(uint32_t prompts, uint32_t new_tokens) {
  std::vector<GenerationRequest> requests;
  for (uint32_t prompt = 0; prompt < prompts; ++prompt) {
    for (uint32_t sample = 0; sample < kSamples; ++sample) {
      requests.push_back({.prompt = random_prompt(5 + 11 * prompt, 97, prompt),
                          .example = sample_example(prompt, sample),
                          .settings = {.temperature = sample % 2 == 0 ? 1.0f : 1.3f,
                                       .top_p = prompt % 3 == 0 ? 0.9f : 1.0f,
                                       .max_new_tokens = new_tokens - 2 * prompt + 3 * sample}});
    }
  }
  return requests;
}

class SampleBits : public ::testing::TestWithParam<Setup> {
 protected:
  static Engine make_engine() {
    const auto& setup = GetParam();
    return Engine(small_config(4, 2), {.slots = 5}, setup.dtype, setup.threads, setup.device);
  }

  Engine engine = make_engine();
  const std::vector<GenerationRequest> requests =
      many_samples(GetParam().prompts, GetParam().new_tokens);

  void expect_same(const GenerationResult& a, const GenerationResult& b) {
    EXPECT_EQ(a.tokens, b.tokens);
    EXPECT_EQ(a.logprobs, b.logprobs);
  }
  std::vector<GenerationResult> one_by_one() {
    std::vector<GenerationResult> results;
    for (const GenerationRequest& one : requests) results.push_back(engine.generate_one(one));
    return results;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, SampleBits, ::testing::ValuesIn(setups()),
                         [](const auto& instance) {
                           return fmt::format("{}_{}_{}", instance.param.device,
                                              name_of(instance.param.dtype),
                                              instance.param.threads);
                         });

TEST_P(SampleBits, DoNotDependOnCompany) {
  const std::vector<GenerationResult> alone = one_by_one();
  const auto expect_same_in_order = [&](const std::vector<size_t>& order) {
    std::vector<GenerationRequest> shuffled;
    for (const size_t i : order) shuffled.push_back(requests[i]);
    const std::vector<GenerationResult> results = engine.generator().generate(shuffled);
    for (size_t i = 0; i < order.size(); ++i) expect_same(results[i], alone[order[i]]);
  };
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  expect_same_in_order(order);  // samples of a prompt side by side
  std::reverse(order.begin(), order.end());
  expect_same_in_order(order);
  for (size_t i = 0; i < order.size(); ++i) order[i] = (7 * i) % order.size();
  expect_same_in_order(order);  // no two neighbours of the same prompt
  for (size_t i = 1; i < requests.size(); ++i) {
    EXPECT_NE(alone[i].tokens, alone[i - 1].tokens) << "samples " << i - 1 << " and " << i;
  }
}

TEST_P(SampleBits, DoNotDependOnCompanyThatLeavesEarly) {
  const std::vector<GenerationResult> whole = engine.generator().generate(requests);
  std::vector<size_t> drawn(requests.size(), 0);
  const auto is_cut = [](size_t request) { return request % 3 == 1; };
  const std::vector<GenerationResult> some_cut =
      engine.generator().generate(requests, [&](const DrawnToken& token) {
        ++drawn[token.request];
        return is_cut(token.request) && drawn[token.request] == 3 ? AfterToken::end_answer
                                                                  : AfterToken::go_on;
      });
  for (size_t i = 0; i < requests.size(); ++i) {
    if (is_cut(i)) {
      EXPECT_EQ(some_cut[i].tokens,
                std::vector<int32_t>(whole[i].tokens.begin(), whole[i].tokens.begin() + 3));
    } else {
      expect_same(some_cut[i], whole[i]);
    }
  }
}

TEST_P(SampleBits, AreTheSameInAnotherGenerator) {
  const std::vector<GenerationResult> once = engine.generator().generate(requests);
  const std::vector<GenerationResult> again = engine.generator().generate(requests);
  Engine other = make_engine();
  const std::vector<GenerationResult> elsewhere = other.generator().generate(requests);
  for (size_t i = 0; i < requests.size(); ++i) {
    expect_same(again[i], once[i]);
    expect_same(elsewhere[i], once[i]);
  }
}

}  // namespace

}  // namespace cria::testing
