// Where a head reads some rows only, the last block leaves out the others after its attention: what
// heads and gradients get is what a pass over all rows gives.
#include <cmath>

#include <gtest/gtest.h>

#include "model/golden_model.h"

namespace cria::testing {

namespace {

// 290 tokens of 384 rows; a third of them, and the first and the last, are to be predicted.
std::vector<Example> batch_of(int64_t vocab_size) {
  std::vector<std::vector<int32_t>> sequences;
  int64_t next = 3;
  for (const size_t length : {90, 1, 123, 76}) {
    sequences.emplace_back();
    for (size_t i = 0; i < length; ++i) {
      sequences.back().push_back(static_cast<int32_t>((next += 7) % vocab_size));
    }
  }
  std::vector<Example> examples = examples_of(sequences);
  for (Example& example : examples) {
    for (size_t i = 0; i < example.labels.size(); ++i) {
      if (i % 3 != 1 && i + 1 != example.labels.size()) example.labels[i] = kNoLabel;
    }
  }
  return examples;
}

double distance(const std::vector<float>& found, const std::vector<float>& expected) {
  double distance = 0.0, norm = 0.0;
  for (size_t i = 0; i < expected.size(); ++i) {
    distance += std::pow(double{found.at(i)} - double{expected[i]}, 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  EXPECT_GT(norm, 0.0);
  return std::sqrt(distance / norm);
}

class KeptRows : public ::testing::TestWithParam<std::string> {};

TEST_P(KeptRows, LogprobsAreThoseOfAllRows) {
  const PassPlan plan{.max_tokens = 384, .training = false};
  GoldenModel model("gqa_untied", DType::f32, plan, GetParam());
  const auto batch = batch_of(model.layout().config().vocab_size);
  const std::vector<float> expected = model.outputs(batch);
  EXPECT_LE(distance(model.outputs(batch, target_rows(pack(batch))), expected), 0x1p-22);
}

// Products over fewer rows may sum in another order: a few roundings. After a pass over all rows,
// of which nothing must be left.
TEST_P(KeptRows, GradientsAreThoseOfAllRows) {
  for (const Recompute recompute : {Recompute::none, Recompute::block}) {
    const PassPlan plan{.max_tokens = 384, .training = true, .recompute = recompute};
    GoldenModel all("gqa_untied", DType::f32, plan, GetParam());
    GoldenModel kept("gqa_untied", DType::f32, plan, GetParam());
    const auto batch = batch_of(all.layout().config().vocab_size);
    all.loss_with_gradients(batch);
    kept.loss_with_gradients(batch);
    const double loss = all.loss_with_gradients(batch);
    EXPECT_NEAR(kept.loss_with_gradients(batch, target_rows(pack(batch))), loss, 0x1p-22 * loss);
    for (size_t block = 0; block < all.layout().blocks().size(); ++block) {
      for (const ParameterTensor& tensor : all.layout().blocks()[block].tensors) {
        EXPECT_LE(distance(kept.gradient(block, tensor), all.gradient(block, tensor)), 0x1p-20)
            << tensor.name;
      }
    }
  }
}

// Bit for bit, in passes of one shape with other rows.
TEST_P(KeptRows, DoNotDependOnThoseOfThePassBefore) {
  const PassPlan plan{.max_tokens = 384, .training = true};
  GoldenModel model("gqa_untied", DType::bf16, plan, GetParam());
  const auto batch = batch_of(model.layout().config().vocab_size);
  const auto rows = target_rows(pack(batch));
  const std::vector<float> expected = model.outputs(batch, rows);
  std::vector<int32_t> others;
  for (int32_t row = 5; row < 260; row += 2) others.push_back(row);
  model.outputs(batch, others);
  EXPECT_EQ(model.outputs(batch, rows), expected);
  GoldenModel first("gqa_untied", DType::bf16, plan, GetParam());
  EXPECT_EQ(model.outputs(batch), first.outputs(batch));
  EXPECT_EQ(model.outputs(batch, rows), expected);
}

TEST(KeptRowsOfABatch, AreThoseThatAreReadUpToAMultipleOf128) {
  const auto backend = make_backend("cpu");
  Arena arena(backend->memory());
  DeviceBatch batch(384);
  batch.reserve(arena);
  arena.allocate();
  const PackedBatch packed = pack(batch_of(100));
  ASSERT_EQ(packed.tokens(), 384);
  batch.upload(*backend, packed, std::vector<int32_t>{383, 3, 200});
  ASSERT_EQ(batch.kept_tokens(), 128);
  std::vector<int32_t> kept(128);
  backend->copy_to_host(kept.data(), batch.kept);
  std::vector<int32_t> places(384);
  backend->copy_to_host(places.data(), batch.kept_places);
  EXPECT_EQ(kept[126], 200);
  EXPECT_EQ(kept[127], 383);
  for (int32_t row = 0; row < 126; ++row) EXPECT_EQ(kept[static_cast<size_t>(row)], row);
  for (size_t row = 0; row < places.size(); ++row) {
    const auto place = static_cast<size_t>(places[row]);
    if (place == kept.size()) continue;
    EXPECT_EQ(kept.at(place), static_cast<int32_t>(row));
  }
  EXPECT_EQ(std::count(places.begin(), places.end(), 128), 384 - 128);

  std::vector<int32_t> many;  // which with what makes them up are all
  for (int32_t row = 0; row < 257; ++row) many.push_back(row);
  batch.upload(*backend, packed, many);
  EXPECT_TRUE(batch.keeps_all());
  EXPECT_EQ(batch.kept_tokens(), 384);
  batch.upload(*backend, packed);
  EXPECT_TRUE(batch.keeps_all());
}

INSTANTIATE_TEST_SUITE_P(Models, KeptRows, ::testing::ValuesIn(usable_devices()),
                         [](const auto& instance) { return instance.param; });

}  // namespace

}  // namespace cria::testing
