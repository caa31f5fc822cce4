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

class GoldenLogprob : public ::testing::TestWithParam<const char*> {
 protected:
  const std::vector<Example> examples = sequences();
  const PassPlan plan{.max_tokens = token_count(examples), .training = false};
  const SafetensorsFile expected{
      golden_path(std::string("expected/") + GetParam() + ".safetensors")};
};

TEST_P(GoldenLogprob, Fp32PackedAgreesWithTransformers) {
  GoldenModel model(GetParam(), DType::f32, plan);
  const std::vector<float> outputs = model.outputs(examples);
  EXPECT_LE(difference(outputs, golden_values(expected, "transformers_fp32")).maximum, kFp32Bound);
  EXPECT_LE(difference(outputs, golden_values(expected, "truth")).maximum, kFp32Bound);
}

TEST_P(GoldenLogprob, Fp32OneByOneAgreesWithTransformers) {
  GoldenModel model(GetParam(), DType::f32, plan);
  const std::vector<float> outputs = one_by_one(model, examples);
  EXPECT_LE(difference(outputs, golden_values(expected, "transformers_fp32")).maximum, kFp32Bound);
}

TEST_P(GoldenLogprob, Bf16ErrsNoMoreThanItsRoundings) {
  GoldenModel model(GetParam(), DType::bf16, plan);
  const std::vector<float> truth = golden_values(expected, "truth");
  const Difference predicted = difference(golden_values(expected, "stored_in_bf16"), truth);
  for (const auto& outputs : {model.outputs(examples), one_by_one(model, examples)}) {
    const Difference found = difference(outputs, truth);
    EXPECT_LE(found.root_mean_square, kBf16MeanBound * predicted.root_mean_square);
    EXPECT_LE(found.maximum, kBf16MaximumBound * predicted.maximum);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenLogprob,
                         ::testing::Values("mha_tied", "mha_untied", "gqa_tied", "gqa_untied",
                                           "mqa_tied", "mqa_untied", "reward"),
                         [](const auto& instance) { return std::string(instance.param); });

}  // namespace cria::testing
