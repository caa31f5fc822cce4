// Passes of one shape that come again and again, recorded by devices that do, give what each would
// give alone.
#include <cmath>

#include <gtest/gtest.h>

#include "model/golden_model.h"

namespace cria::testing {

namespace {

constexpr int64_t kRounds = 4;

// Other tokens each round; after two rounds another cut into sequences, more of them.
std::vector<Example> batch_of(int64_t round, int64_t vocab_size) {
  const std::vector<size_t> lengths =
      round % 4 < 2 ? std::vector<size_t>{20, 51} : std::vector<size_t>{31, 1, 9, 13, 18};
  std::vector<std::vector<int32_t>> sequences;
  int64_t next = 17 * round;
  for (const size_t length : lengths) {
    sequences.emplace_back();
    for (size_t i = 0; i < length; ++i) {
      sequences.back().push_back(static_cast<int32_t>((next += 7 + round) % vocab_size));
    }
  }
  return examples_of(sequences);
}

class RecordedPasses : public ::testing::TestWithParam<std::string> {
 protected:
  static std::vector<std::vector<float>> gradients(const GoldenModel& model) {
    std::vector<std::vector<float>> all;
    for (size_t block = 0; block < model.layout().blocks().size(); ++block) {
      for (const ParameterTensor& tensor : model.layout().blocks()[block].tensors) {
        all.push_back(model.gradient(block, tensor));
      }
    }
    return all;
  }
};

TEST_P(RecordedPasses, LogprobsAreThoseOfAFirstPass) {
  const PassPlan plan{.max_tokens = 128, .training = false};
  GoldenModel model("gqa_untied", DType::bf16, plan, GetParam());
  for (int64_t round = 0; round < 2 * kRounds; ++round) {
    const auto batch = batch_of(round, model.layout().config().vocab_size);
    GoldenModel first("gqa_untied", DType::bf16, plan, GetParam());
    EXPECT_EQ(model.outputs(batch), first.outputs(batch)) << "round " << round;
  }
}

// Sums of fp32 in another order: a rounding or two for each of the rounds.
TEST_P(RecordedPasses, GradientsAreThoseOfFirstPasses) {
  for (const Recompute recompute : {Recompute::none, Recompute::block}) {
    const PassPlan plan{.max_tokens = 128, .training = true, .recompute = recompute};
    GoldenModel model("gqa_untied", DType::f32, plan, GetParam());
    std::vector<std::vector<float>> sums = gradients(model);
    for (int64_t round = 0; round < kRounds; ++round) {
      const auto batch = batch_of(round, model.layout().config().vocab_size);
      GoldenModel first("gqa_untied", DType::f32, plan, GetParam());
      EXPECT_EQ(model.loss_with_gradients(batch), first.loss_with_gradients(batch));
      const auto of_round = gradients(first);
      for (size_t i = 0; i < sums.size(); ++i) {
        for (size_t j = 0; j < sums[i].size(); ++j) sums[i][j] += of_round[i][j];
      }
    }
    const auto found = gradients(model);
    for (size_t i = 0; i < sums.size(); ++i) {
      double distance = 0.0, norm = 0.0;
      for (size_t j = 0; j < sums[i].size(); ++j) {
        distance += std::pow(double{found[i][j]} - double{sums[i][j]}, 2);
        norm += std::pow(double{sums[i][j]}, 2);
      }
      EXPECT_GT(norm, 0.0) << "tensor " << i;
      EXPECT_LE(std::sqrt(distance), 2 * kRounds * 0x1p-24 * std::sqrt(norm)) << "tensor " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, RecordedPasses, ::testing::ValuesIn(usable_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace

}  // namespace cria::testing
