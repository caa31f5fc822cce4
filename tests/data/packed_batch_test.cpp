#include "cria/data/packed_batch.h"

#include <gtest/gtest.h>

namespace cria {
namespace {

Example example(std::vector<int32_t> ids, std::vector<int32_t> labels,
                std::vector<float> weights = {}) {
  return {std::move(ids), std::move(labels), std::move(weights)};
}

TEST(PackedBatch, TargetsAreTheNextLabelsOfTheSameSequence) {
  const std::vector<Example> sequences = {
      example({1, 10, 11, 2}, {1, kNoLabel, 11, 2}),
      example({1, 20, 2}, {kNoLabel, 20, 2}, {0.25f, 0.5f, 2.0f}),
      example({1}, {1}),
  };
  const PackedBatch batch = pack(sequences);
  ASSERT_EQ(batch.tokens(), 128);
  EXPECT_EQ(batch.real_tokens, 8);
  EXPECT_EQ(batch.sequence_count, 3);
  EXPECT_EQ(batch.sequence_offsets, (std::vector<int32_t>{0, 4, 7, 8, 128}));
  EXPECT_EQ(std::vector<int32_t>(batch.ids.begin(), batch.ids.begin() + 9),
            (std::vector<int32_t>{1, 10, 11, 2, 1, 20, 2, 1, 0}));
  EXPECT_EQ(std::vector<int32_t>(batch.positions.begin(), batch.positions.begin() + 8),
            (std::vector<int32_t>{0, 1, 2, 3, 0, 1, 2, 0}));
  // No sequence sees the next one's first token as its target.
  EXPECT_EQ(std::vector<int32_t>(batch.targets.begin(), batch.targets.begin() + 9),
            (std::vector<int32_t>{-1, 11, 2, -1, 20, 2, -1, -1, -1}));
  EXPECT_EQ(std::vector<float>(batch.weights.begin(), batch.weights.begin() + 9),
            (std::vector<float>{0, 1, 1, 0, 0.5f, 2, 0, 0, 0}));
  EXPECT_EQ(batch.weight_sum(), 4.5);
}

TEST(PackedBatch, TailHasNoWeightAndStaysWithinThePositions) {
  const std::vector<Example> sequences = {
      example(std::vector<int32_t>(30, 5), std::vector<int32_t>(30, 5))};
  const PackedBatch batch = pack(sequences);
  ASSERT_EQ(batch.tokens(), 128);
  EXPECT_EQ(batch.max_sequence_length, 98);
  for (size_t i = 30; i < 128; ++i) {
    EXPECT_EQ(batch.ids[i], 0);
    EXPECT_EQ(batch.targets[i], -1);
    EXPECT_EQ(batch.weights[i], 0);
    EXPECT_EQ(batch.positions[i], static_cast<int32_t>((i - 30) % 30));
  }
}

TEST(PackedBatch, FullBatchHasNoTail) {
  const Example half = example(std::vector<int32_t>(64, 5), std::vector<int32_t>(64, 5));
  const std::vector<const Example*> sequences = {&half, &half};
  const PackedBatch batch = pack(sequences);
  EXPECT_EQ(batch.tokens(), 128);
  EXPECT_EQ(batch.sequence_offsets, (std::vector<int32_t>{0, 64, 128}));
  EXPECT_EQ(batch.max_sequence_length, 64);
  EXPECT_EQ(batch.weight_sum(), 126);
}

// A pad id that equals eos cannot take the last eos out of the loss: there is no pad.
TEST(PackedBatch, FinalEosCarriesLoss) {
  const std::vector<Example> sequences = {example({1, 10, 2}, {kNoLabel, 10, 2}),
                                          example({1, 11, 2}, {kNoLabel, 11, 2})};
  const PackedBatch batch = pack(sequences);
  EXPECT_EQ(batch.targets[1], 2);
  EXPECT_EQ(batch.weights[1], 1.0f);
  EXPECT_EQ(batch.targets[4], 2);
  EXPECT_EQ(batch.weights[4], 1.0f);
}

TEST(PackedBatch, NothingGivesNothing) {
  const PackedBatch batch = pack(std::span<const Example>());
  EXPECT_EQ(batch.tokens(), 0);
  EXPECT_EQ(batch.sequence_offsets, std::vector<int32_t>{0});
  EXPECT_EQ(batch.weight_sum(), 0);
}

}  // namespace
}  // namespace cria
