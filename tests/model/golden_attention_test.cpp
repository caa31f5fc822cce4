// How much tokens attend to those before them, the largest weight over heads and layers, against
// transformers with eager attention.
#include <cmath>

#include <gtest/gtest.h>

#include "cria/model/attention_probe.h"

#include "model/golden_model.h"

namespace cria::testing {

namespace {

// fp32 against fp32: transformers' weights, of at most 1, are within 2e-6 of those in double
// precision (the script that made them demands it), and cria's may be off by as much.
constexpr float kBound = 4e-6f;

struct AttentionCase {
  std::string model;
  std::string device;
};

const std::vector<std::string> kModels = {"mha_tied", "gqa_untied", "mqa_tied", "mqa_untied"};

std::vector<AttentionCase> attention_cases() {
  std::vector<AttentionCase> cases;
  for (const std::string& device : usable_devices()) {
    for (const std::string& model : kModels) cases.push_back({model, device});
  }
  return cases;
}

}  // namespace

class GoldenAttention : public ::testing::TestWithParam<AttentionCase> {};

TEST_P(GoldenAttention, MaximaAgreeWithTransformers) {
  const auto fixture = golden_json("attention.json");
  ASSERT_EQ(fixture["models"].get<std::vector<std::string>>(), kModels);
  const std::vector<int32_t> rows = fixture["rows"];
  const std::vector<int32_t> ids = golden_json("sequences.json")[fixture["sequence"].get<size_t>()];
  const SafetensorsFile file(golden_path("expected/attention.safetensors"));
  const std::vector<float> expected = golden_values(file, GetParam().model + ".maxima");

  const GoldenModel golden(GetParam().model, DType::f32, {.max_tokens = 128, .training = false},
                           GetParam().device);
  Arena arena(golden.model().backend().memory());
  AttentionProbe probe(golden.model(), 200, static_cast<int64_t>(rows.size()) + 2);
  probe.reserve(arena);
  arena.allocate();
  // What another sequence left must not shine through.
  probe.maxima(std::vector<int32_t>(150, 5), rows);
  const std::vector<float> maxima = probe.maxima(ids, rows);
  ASSERT_EQ(maxima.size(), expected.size());
  for (size_t r = 0; r < rows.size(); ++r) {
    for (size_t c = 0; c < ids.size(); ++c) {
      const size_t i = r * ids.size() + c;
      if (static_cast<int32_t>(c) > rows[r]) {
        EXPECT_EQ(maxima[i], 0.0f);
      } else {
        EXPECT_NEAR(maxima[i], expected[i], kBound) << "row " << rows[r] << ", column " << c;
        EXPECT_GT(maxima[i], 0.0f);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GoldenAttention, ::testing::ValuesIn(attention_cases()),
                         [](const auto& instance) {
                           return instance.param.model + "_" + instance.param.device;
                         });

}  // namespace cria::testing
