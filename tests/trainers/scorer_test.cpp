#include "trainers/scorer.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "cria/core/random.h"

namespace cria {
namespace {

// A model wide enough that the library picks other kernels for other row counts.
ModelConfig wide_model() {
  return {.vocab_size = 300,
          .hidden_size = 288,
          .intermediate_size = 2048,
          .num_hidden_layers = 2,
          .num_attention_heads = 6,
          .num_key_value_heads = 6,
          .head_dim = 48,
          .max_position_embeddings = 512,
          .initializer_range = 0.1f};
}

// For devices that are slow.
ModelConfig narrow_model() {
  return {.vocab_size = 300,
          .hidden_size = 64,
          .intermediate_size = 96,
          .num_hidden_layers = 1,
          .num_attention_heads = 4,
          .num_key_value_heads = 2,
          .head_dim = 16,
          .max_position_embeddings = 512,
          .initializer_range = 0.1f};
}

class ScoringModel {
 public:
  ScoringModel(const ModelConfig& config, const std::string& device, DType dtype,
               int64_t batch_tokens)
      : backend_(make_backend(device)),
        layout_(config),
        arena_(backend_->memory()),
        masters_(layout_, DType::f32),
        model_(layout_, dtype, *backend_),
        scorer_(model_, batch_tokens) {
    masters_.reserve(arena_, "parameters");
    model_.reserve(arena_, /*training=*/false);
    scorer_.reserve(arena_);
    arena_.allocate();
    model_.prepare();
    initialize_weights(masters_, *backend_, 1);
    for (size_t block = 0; block < masters_.block_count(); ++block) {
      if (dtype == DType::f32) {
        backend_->copy(model_.weights.block(block), masters_.block(block));
      } else {
        backend_->cast(model_.weights.block(block), masters_.block(block));
      }
    }
    model_.weights_changed();
  }

  Scorer& scorer() { return scorer_; }

 private:
  std::unique_ptr<Backend> backend_;
  ParameterLayout layout_;
  Arena arena_;
  ParameterSet masters_;
  Model model_;
  Scorer scorer_;
};

Example sequence(int64_t length, uint64_t seed) {
  const Random random(seed, Purpose::data_synthesis);
  Example example;
  for (int64_t i = 0; i < length; ++i) {
    example.ids.push_back(static_cast<int32_t>(random.below(300, static_cast<uint64_t>(i))));
  }
  example.labels = example.ids;
  return example;
}

TEST(PackFilled, HasExactlyThatManyTokens) {
  const std::vector<Example> sequences = {sequence(5, 1), sequence(40, 2)};
  for (const int64_t tokens : {128, 256, 1024}) {
    const PackedBatch plain = pack(sequences);
    const PackedBatch filled = pack_filled(sequences, tokens);
    ASSERT_EQ(filled.tokens(), tokens);
    EXPECT_EQ(filled.positions.size(), filled.ids.size());
    EXPECT_EQ(filled.weights.size(), filled.ids.size());
    EXPECT_EQ(filled.sequence_count, 2);
    EXPECT_EQ(filled.real_tokens, 45);
    EXPECT_EQ(filled.weight_sum(), plain.weight_sum());
    EXPECT_EQ(filled.sequence_offsets.back(), tokens);
    EXPECT_TRUE(std::is_sorted(filled.sequence_offsets.begin(), filled.sequence_offsets.end()));
    EXPECT_TRUE(std::equal(plain.targets.begin(), plain.targets.end(), filled.targets.begin()));
    EXPECT_TRUE(std::all_of(filled.targets.begin() + 45, filled.targets.end(),
                            [](int32_t target) { return target == -1; }));
    // No tail reaches a position that the sequences do not have.
    EXPECT_LT(*std::max_element(filled.positions.begin(), filled.positions.end()), 40);
  }
}

struct Setup {
  std::string device;
  DType dtype;
};

std::vector<Setup> setups() {
  std::vector<Setup> result;
  for (const std::string& device : usable_devices()) {
    for (const DType dtype : {DType::f32, DType::bf16}) result.push_back({device, dtype});
  }
  return result;
}

class ScorerBits : public ::testing::TestWithParam<Setup> {};
INSTANTIATE_TEST_SUITE_P(Devices, ScorerBits, ::testing::ValuesIn(setups()),
                         [](const auto& instance) {
                           return fmt::format("{}_{}", instance.param.device,
                                              name_of(instance.param.dtype));
                         });

TEST_P(ScorerBits, AloneOrInCompany) {
  const auto& [device, dtype] = GetParam();
  const bool slow = device == "emulated";
  ScoringModel model(slow ? narrow_model() : wide_model(), device, dtype, slow ? 384 : 1024);
  std::vector<Example> sequences;
  for (const int64_t length : {7, 300, 1, 129, 512, 64, 33, 256}) {
    if (slow && length > 300) continue;
    sequences.push_back(sequence(length, static_cast<uint64_t>(length)));
  }
  const std::vector<std::vector<float>> together = model.scorer().logprobs(sequences);
  for (size_t i = 0; i < sequences.size(); ++i) {
    EXPECT_EQ(together[i].size(), sequences[i].ids.size() - 1);
    EXPECT_EQ(model.scorer().logprobs(std::span(&sequences[i], 1)).front(), together[i])
        << sequences[i].ids.size() << " tokens";
  }
}

// More sequences than a pass keeps rows for: one with fewer or more would have other bits.
TEST_P(ScorerBits, RewardsAloneOrInCompany) {
  const auto& [device, dtype] = GetParam();
  const bool slow = device == "emulated";
  ModelConfig config = slow ? narrow_model() : wide_model();
  config.head = HeadKind::score;
  ScoringModel model(config, device, dtype, slow ? 384 : 1024);
  std::vector<Example> sequences;
  for (int64_t i = 0; i < (slow ? 250 : 600); ++i) {
    sequences.push_back(sequence(1 + i % 2, static_cast<uint64_t>(i)));
  }
  const std::vector<float> together = model.scorer().rewards(sequences);
  ASSERT_EQ(together.size(), sequences.size());
  for (size_t i = 0; i < sequences.size(); i += slow ? 61 : 29) {
    EXPECT_EQ(model.scorer().rewards(std::span(&sequences[i], 1)).front(), together[i])
        << "sequence " << i;
  }
}

}  // namespace
}  // namespace cria
