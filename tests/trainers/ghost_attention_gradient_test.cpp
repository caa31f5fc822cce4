// What earlier turns of a Ghost Attention example add to the gradient: nothing, to the bit.
#include <algorithm>

#include <gtest/gtest.h>

#include "cria/data/ghost_attention.h"

#include "support/places.h"
#include "trainers/micro_batches.h"
#include "trainers/token_loss.h"

namespace cria {
namespace {

std::vector<float> parameter_gradients(Learner& learner) {
  std::vector<float> all;
  const ParameterSet& gradients = learner.optimizer.gradients();
  for (size_t block = 0; block < gradients.block_count(); ++block) {
    const Tensor tensor = gradients.block(block);
    all.insert(all.end(), tensor.as<float>(), tensor.as<float>() + tensor.size());
  }
  return all;
}

TEST(GhostAttentionGradient, OfTheLossesOfEarlierTokensIsExactlyZero) {
  const std::string directory = testing::source_path("tests/golden/models/gqa_untied");
  const Tokenizer tokenizer(directory + "/tokenizer.model");
  const ModelConfig config = read_model_config(directory);
  const auto backend = make_backend("cpu");
  Arena arena(backend->memory());
  PassBuffers passes(config, DType::f32, {.max_tokens = 256});
  Learner learner(config, *backend, DType::f32, {}, passes);
  learner.reserve(arena);
  arena.allocate();
  learner.prepare();
  learner.load_model(directory);

  const InstructedDialogue dialogue{
      .system = {},
      .turns = {{"What is it?", "A cat.", {}}, {"And that?", "A dog.", {}}, {"This?", "Me.", {}}},
      .long_form = "Answer as a pirate.",
      .short_form = "Pirate."};
  const Example example = ghost_example(dialogue, 2, {}, tokenizer)->example;
  const auto answer =
      static_cast<int64_t>(std::count_if(example.labels.begin(), example.labels.end(),
                                         [](int32_t label) { return label != kNoLabel; }));
  ASSERT_GT(answer, 1);
  const auto length = static_cast<int64_t>(example.ids.size());

  // Trained on, as `cria gatt` does it.
  TokenLoss loss(config);
  const std::vector<Group> batch = loss.groups({Row{example}});
  learner.optimizer.zero_gradients();
  loss.begin(batch, PassKind::training);
  for (const MicroBatch& micro : split(batch, 256, 0, 1)) loss.pass(learner, micro);
  const std::vector<float> trained = parameter_gradients(learner);

  // The last answer and its eos alone, each with the same share; to the bit the same.
  const PackedBatch packed = pack(batch[0]);
  std::vector<float> gradients(packed.weights.size(), 0.0f);
  for (int64_t t = length - answer - 1; t < length - 1; ++t) {
    gradients[static_cast<size_t>(t)] = static_cast<float>(-1.0 / static_cast<double>(answer));
  }
  learner.optimizer.zero_gradients();
  learner.forward(packed);
  passes.language_head.forward_backward(learner.model, learner.optimizer.gradients(),
                                        passes.activations, passes.batch, gradients);
  // dL/dhidden, which the head writes row by row.
  const float* gradient = passes.activations.hidden_gradient.as<float>();
  for (int64_t t = 0; t < length; ++t) {
    double size = 0;
    for (int64_t i = 0; i < config.hidden_size; ++i) {
      size += std::abs(double{gradient[t * config.hidden_size + i]});
    }
    // The token before the answer predicts its first one; its eos predicts nothing.
    const bool learnt = t >= length - answer - 1 && t < length - 1;
    if (learnt) {
      EXPECT_GT(size, 0) << t;
    } else {
      EXPECT_EQ(size, 0) << t;
    }
  }
  learner.backward();
  EXPECT_EQ(parameter_gradients(learner), trained);
}

}  // namespace
}  // namespace cria
