// Gradients of every parameter for one ragged, partly masked batch against PyTorch's autograd.
#include <cmath>

#include <gtest/gtest.h>

#include "model/golden_model.h"

namespace cria::testing {

namespace {

// Both sides sum in fp32: PyTorch's own fp32 gradients are within 1.2e-6 of the truth in the norm
// of each tensor. Ten times that leaves room for another order of summation.
constexpr double kRelativeBound = 1.2e-5;

std::vector<Example> gradient_batch() {
  std::vector<Example> batch;
  for (const auto& sequence : golden_json("gradient_batch.json")) {
    batch.push_back({.ids = sequence.at("ids").get<std::vector<int32_t>>(),
                     .labels = sequence.at("labels").get<std::vector<int32_t>>(),
                     .weights = sequence.at("weights").get<std::vector<float>>()});
  }
  return batch;
}

struct GradientCase {
  std::string model;
  Recompute recompute;
  std::string device;
};

std::vector<GradientCase> gradient_cases() {
  std::vector<GradientCase> cases;
  for (const std::string& device : usable_devices()) {
    for (const char* model : {"gqa_tied", "gqa_untied"}) {
      for (const Recompute recompute : {Recompute::none, Recompute::block}) {
        cases.push_back({model, recompute, device});
      }
    }
  }
  return cases;
}

std::string case_name(const ::testing::TestParamInfo<GradientCase>& instance) {
  const GradientCase& which = instance.param;
  return which.model + (which.recompute == Recompute::block ? "_recomputed_" : "_kept_") +
         which.device;
}

}  // namespace

class GoldenGradient : public ::testing::TestWithParam<GradientCase> {};

TEST_P(GoldenGradient, EveryParameterAgreesWithAutograd) {
  const auto& [name, recompute, device] = GetParam();
  const SafetensorsFile expected(golden_path("expected/" + name + ".gradients.safetensors"));
  GoldenModel model(name, DType::f32, {.max_tokens = 256, .training = true, .recompute = recompute},
                    device);

  const double loss = model.loss_with_gradients(gradient_batch());
  EXPECT_NEAR(loss, golden_values(expected, "loss")[0], 2e-6);

  size_t compared = 0;
  for (size_t block = 0; block < model.layout().blocks().size(); ++block) {
    for (const ParameterTensor& tensor : model.layout().blocks()[block].tensors) {
      const std::vector<float> wanted = golden_values(expected, tensor.name);
      const std::vector<float> found = model.gradient(block, tensor);
      ASSERT_EQ(found.size(), wanted.size()) << tensor.name;
      double distance = 0.0, norm = 0.0;
      for (size_t i = 0; i < found.size(); ++i) {
        distance += std::pow(double{found[i]} - double{wanted[i]}, 2);
        norm += std::pow(double{wanted[i]}, 2);
      }
      EXPECT_LE(std::sqrt(distance), kRelativeBound * std::sqrt(norm)) << tensor.name;
      ++compared;
    }
  }
  EXPECT_EQ(compared, expected.tensors().size() - 1) << "the fixture has others";
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenGradient, ::testing::ValuesIn(gradient_cases()), case_name);

}  // namespace cria::testing
