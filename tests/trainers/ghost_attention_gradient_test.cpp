// What earlier turns of a Ghost Attention example add to the gradient: nothing, to the bit.
#include <gtest/gtest.h>

#include "cria/data/ghost_attention.h"

#include "support/places.h"
#include "trainers/learner.h"

namespace cria {
namespace {

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
  const PackedBatch packed = pack(std::vector<Example>{example});
  std::vector<float> gradients;  // dL/dlogprob, as TokenLoss has it
  for (const float weight : packed.weights) gradients.push_back(-weight);
  learner.forward(packed);
  learner.optimizer.zero_gradients();
  passes.language_head.forward_backward(learner.model, learner.optimizer.gradients(),
                                        passes.activations, passes.batch, gradients);

  // dL/dhidden, which the head writes row by row.
  const float* gradient = passes.activations.hidden_gradient.as<float>();
  const int64_t answer = std::count_if(example.labels.begin(), example.labels.end(),
                                       [](int32_t label) { return label != kNoLabel; });
  ASSERT_GT(answer, 1);
  const auto length = static_cast<int64_t>(example.ids.size());
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
}

}  // namespace
}  // namespace cria
