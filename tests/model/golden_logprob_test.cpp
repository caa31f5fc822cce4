// Log-probabilities and scores of every model of tests/golden against transformers.
#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "model/golden_model.h"

namespace cria::testing {

namespace {

// fp32 against fp32: each side is off from the truth by up to about 5e-6 on these models (the
// script that made them prints it for transformers), so 2e-5 leaves room for another order of
// summation and little else.
constexpr double kFp32Bound = 2e-5;

// bf16 against the truth, relative to the error of a model that computes exactly but rounds its
// tensors to bf16 where cria's ops do (docs/numerics.md derives it). Two such runs part as soon as
// a sum falls on the other side of a tie, so their errors agree in distribution only: the root mean
// square over more than a thousand tokens within a tenth, the largest within a half.
constexpr double kBf16MeanBound = 1.1;
constexpr double kBf16MaximumBound = 1.5;

struct Difference {
  double maximum = 0.0;
  double root_mean_square = 0.0;
};

Difference difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  Difference result;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    double distance = std::fabs(double{a[i]} - double{b[i]});
    if (std::isnan(distance)) distance = std::numeric_limits<double>::infinity();
    result.maximum = std::max(result.maximum, distance);
    result.root_mean_square += distance * distance;
  }
  result.root_mean_square = std::sqrt(result.root_mean_square / static_cast<double>(a.size()));
  return result;
}

std::vector<Example> sequences() {
  return examples_of(golden_json("sequences.json").get<std::vector<std::vector<int32_t>>>());
}

int64_t token_count(const std::vector<Example>& examples) {
  int64_t tokens = 0;
  for (const Example& example : examples) tokens += static_cast<int64_t>(example.ids.size());
  return tokens;
}

std::vector<float> one_by_one(GoldenModel& model, const std::vector<Example>& examples) {
  std::vector<float> outputs;
  for (const Example& example : examples) {
    const std::vector<float> part = model.outputs({example});
    outputs.insert(outputs.end(), part.begin(), part.end());
  }
  return outputs;
}

}  // namespace

struct LogprobCase {
  std::string model;
  std::string device;
};

// The emulator takes the model of grouped queries and the one whose heads are wide enough to be
// worth a tensor core.
std::vector<LogprobCase> logprob_cases() {
  std::vector<LogprobCase> cases;
  for (const std::string& device : usable_devices()) {
    for (const char* model :
         {"mha_tied", "mha_untied", "gqa_tied", "gqa_untied", "mqa_tied", "mqa_untied", "reward"}) {
      const bool is_picked = model == std::string("gqa_untied") || model == std::string("mqa_tied");
      if (device != "emulated" || is_picked) cases.push_back({model, device});
    }
  }
  return cases;
}

class GoldenLogprob : public ::testing::TestWithParam<LogprobCase> {
 protected:
  GoldenModel model_in(DType dtype) const {
    return GoldenModel(GetParam().model, dtype, plan, GetParam().device);
  }

  const std::vector<Example> examples = sequences();
  const PassPlan plan{.max_tokens = token_count(examples), .training = false};
  const SafetensorsFile expected{golden_path("expected/" + GetParam().model + ".safetensors")};
};

TEST_P(GoldenLogprob, Fp32PackedAgreesWithTransformers) {
  GoldenModel model = model_in(DType::f32);
  const std::vector<float> outputs = model.outputs(examples);
  EXPECT_LE(difference(outputs, golden_values(expected, "transformers_fp32")).maximum, kFp32Bound);
  EXPECT_LE(difference(outputs, golden_values(expected, "truth")).maximum, kFp32Bound);
}

TEST_P(GoldenLogprob, Fp32OneByOneAgreesWithTransformers) {
  GoldenModel model = model_in(DType::f32);
  const std::vector<float> outputs = one_by_one(model, examples);
  EXPECT_LE(difference(outputs, golden_values(expected, "transformers_fp32")).maximum, kFp32Bound);
}

TEST_P(GoldenLogprob, Bf16ErrsNoMoreThanItsRoundings) {
  GoldenModel model = model_in(DType::bf16);
  const std::vector<float> truth = golden_values(expected, "truth");
  const Difference predicted = difference(golden_values(expected, "stored_in_bf16"), truth);
  for (const auto& outputs : {model.outputs(examples), one_by_one(model, examples)}) {
    const Difference found = difference(outputs, truth);
    EXPECT_LE(found.root_mean_square, kBf16MeanBound * predicted.root_mean_square);
    EXPECT_LE(found.maximum, kBf16MaximumBound * predicted.maximum);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenLogprob, ::testing::ValuesIn(logprob_cases()),
                         [](const auto& instance) {
                           return instance.param.model + "_" + instance.param.device;
                         });

}  // namespace cria::testing
