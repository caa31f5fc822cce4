// When the gradients of a step are summed over the ranks: each block once, as soon as the last pass
// has completed it, and in the same order on every rank, whatever its share of the step.
#include <algorithm>

#include <gtest/gtest.h>

#include "cria/io/hugging_face.h"

#include "support/places.h"
#include "support/recorded_ranks.h"
#include "trainers/token_loss.h"

namespace cria::testing {

namespace {

constexpr int64_t kMaxTokens = 128;

// A golden model of two layers in training.
struct Trained {
  explicit Trained(const std::string& model, Recompute recompute = Recompute::none)
      : path(source_path("tests/golden/models/") + model),
        backend(make_backend("cpu")),
        config(read_model_config(path)),
        arena(backend->memory()),
        passes(config, DType::f32, {.max_tokens = kMaxTokens, .recompute = recompute}),
        learner(config, *backend, DType::f32, {}, passes),
        loss(config) {
    learner.reserve(arena);
    arena.allocate();
    learner.prepare();
    learner.load_model(path);
    learner.optimizer.zero_gradients();
  }

  size_t block_of(Tensor tensor) const {
    const ParameterSet& set = gradients();
    for (size_t block = 0; block < set.block_count(); ++block) {
      if (set.block(block).data == tensor.data && set.block(block).size() == tensor.size()) {
        return block;
      }
    }
    ADD_FAILURE() << "no block of gradients";
    return 0;
  }

  std::vector<float> values(size_t block) const {
    const Tensor tensor = gradients().block(block);
    return {tensor.as<float>(), tensor.as<float>() + tensor.size()};
  }

  bool is_zero(size_t block) const {
    const std::vector<float> all = values(block);
    return std::all_of(all.begin(), all.end(), [](float value) { return value == 0; });
  }

  const ParameterSet& gradients() const { return learner.optimizer.gradients(); }

  std::string path;
  std::unique_ptr<Backend> backend;
  ModelConfig config;
  Arena arena;
  PassBuffers passes;
  mutable Learner learner;
  TokenLoss loss;
};

std::vector<Group> sequences(size_t count, size_t length) {
  std::vector<Group> groups;
  for (size_t s = 0; s < count; ++s) {
    Example example;
    for (size_t i = 0; i < length; ++i) {
      example.ids.push_back(static_cast<int32_t>(3 + (7 * s + 11 * i) % 90));
    }
    example.labels = example.ids;
    groups.push_back({example});
  }
  return groups;
}

// Three passes of one rank.
void expect_blocks_complete_in_order(const std::string& model, Recompute recompute) {
  Trained trained(model, recompute);
  const auto groups = sequences(3, 100);
  std::vector<size_t> order;
  std::vector<std::vector<float>> at_start;
  std::vector<std::vector<float>> before_last_pass(trained.gradients().block_count());

  Calls calls;
  RecordedCommunicator alone(calls, 0, 1);
  // A block that the last pass has not reached is what the first passes made of it.
  Trained two_passes(model, recompute);
  RecordedReduction ignored(calls);
  pass_over(groups, PassKind::evaluation, two_passes.loss, two_passes.learner, alone, ignored);
  EXPECT_TRUE(two_passes.is_zero(1)) << "an evaluation has no gradients";
  EXPECT_EQ(calls, Calls{"sum of figures 3"}) << "nor sums of them";
  two_passes.loss.begin(groups, PassKind::training);
  const std::vector<MicroBatch> passes = split(groups, kMaxTokens, 0, 1);
  ASSERT_EQ(passes.size(), 3u);
  for (size_t i = 0; i < 2; ++i) two_passes.loss.pass(two_passes.learner, passes[i]);

  RecordedReduction reduction(calls, [&](Tensor tensor) {
    const size_t block = trained.block_of(tensor);
    order.push_back(block);
    at_start.push_back(trained.values(block));
    for (size_t earlier = 1; earlier < block && earlier <= 2; ++earlier) {
      EXPECT_EQ(trained.values(earlier), two_passes.values(earlier))
          << "layer " << earlier - 1 << " was passed before the sum of block " << block;
    }
  });
  pass_over(groups, PassKind::training, trained.loss, trained.learner, alone, reduction);
  EXPECT_EQ(order, (std::vector<size_t>{3, 2, 1, 0})) << "head, layers, embedding, each once";
  for (size_t i = 0; i < order.size(); ++i) {
    EXPECT_FALSE(trained.is_zero(order[i]));
    EXPECT_EQ(at_start[i], trained.values(order[i])) << "block " << order[i] << " was incomplete";
  }
}

TEST(GradientReduction, StartsAsSoonAsABlockIsComplete) {
  expect_blocks_complete_in_order("gqa_untied", Recompute::none);
  expect_blocks_complete_in_order("gqa_untied", Recompute::block);
}

// The head's gradients and the embedding's are one tensor, to which the last layer's way back comes
// after the head's.
TEST(GradientReduction, SharedEmbeddingsAreCompleteAtTheEnd) {
  expect_blocks_complete_in_order("gqa_tied", Recompute::none);
}

// Four ranks, with two passes, one or none.
TEST(GradientReduction, RanksWithFewerPassesOrNoneMakeTheSameCalls) {
  for (const size_t count : {size_t{2}, size_t{5}}) {
    const auto groups = sequences(count, 100);
    std::vector<Calls> calls(4);
    std::vector<size_t> passes;
    for (int rank = 0; rank < 4; ++rank) {
      Trained trained("gqa_untied");
      Calls& of_rank = calls[static_cast<size_t>(rank)];
      RecordedCommunicator communicator(of_rank, rank, 4);
      RecordedReduction reduction(of_rank);
      pass_over(groups, PassKind::training, trained.loss, trained.learner, communicator, reduction);
      pass_over(groups, PassKind::training, trained.loss, trained.learner, communicator, reduction);
      passes.push_back(split(groups, kMaxTokens, rank, 4).size());
    }
    EXPECT_NE(*std::min_element(passes.begin(), passes.end()),
              *std::max_element(passes.begin(), passes.end()));
    EXPECT_EQ(calls[0].size(), 2u * (4 + 1 + 1)) << "blocks, the end of the sums, the figures";
    for (const Calls& other : calls) EXPECT_EQ(other, calls[0]);
  }
}

}  // namespace

}  // namespace cria::testing
