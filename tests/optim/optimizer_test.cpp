#include "cria/optim/optimizer.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "support/places.h"

namespace cria {

namespace {

ModelConfig tiny() {
  return {.vocab_size = 30,
          .hidden_size = 8,
          .intermediate_size = 12,
          .num_hidden_layers = 2,
          .num_attention_heads = 2,
          .num_key_value_heads = 1,
          .head_dim = 4,
          .max_position_embeddings = 16};
}

// A model with its optimizer, allocated and initialised.
struct Trained {
  Trained(DType precision, const OptimizerOptions& options)
      : backend(make_backend(testing::test_device())),
        layout(tiny()),
        arena(backend->memory()),
        model(layout, precision, *backend),
        optimizer(model, options) {
    model.reserve(arena, true);
    optimizer.reserve(arena);
    arena.allocate();
    model.prepare();
    initialize_weights(optimizer.masters(), *backend, 3);
    optimizer.masters_changed();
  }

  void fill_gradients(float value) {
    for (size_t block = 0; block < layout.blocks().size(); ++block) {
      for (const ParameterTensor& tensor : layout.blocks()[block].tensors) {
        const Tensor view = optimizer.gradients().view(block, tensor);
        const std::vector<float> values(static_cast<size_t>(view.size()), value);
        backend->copy_from_host(view, values.data());
      }
    }
  }

  std::vector<float> values(Tensor tensor) {
    std::vector<float> host(static_cast<size_t>(tensor.size()));
    backend->copy_to_host(host.data(), tensor);
    return host;
  }

  std::unique_ptr<Backend> backend;
  ParameterLayout layout;
  Arena arena;
  Model model;
  Optimizer optimizer;
};

TEST(Optimizer, NormIsThatOfAllParametersTogether) {
  Trained trained(DType::f32, {});
  trained.optimizer.zero_gradients();
  EXPECT_EQ(trained.optimizer.gradient_norm(), 0);
  trained.fill_gradients(0.5f);
  EXPECT_NEAR(trained.optimizer.gradient_norm(),
              0.5 * std::sqrt(static_cast<double>(trained.layout.parameter_count())), 1e-5);
}

// At step 1 AdamW moves by lr g/(|g| + eps sqrt(…)): with equal gradients clipping changes nothing
// but eps; so the effect of clipping is read from the first moment, (1 - beta1) times the clipped
// gradient.
TEST(Optimizer, ClipsToTheGivenNorm) {
  Trained trained(DType::f32, {.max_grad_norm = 2.0});
  trained.fill_gradients(0.5f);
  const double norm = trained.optimizer.gradient_norm();
  ASSERT_GT(norm, 2.0);
  trained.optimizer.update(1, 1e-3, norm);
  const float moment = trained.values(trained.optimizer.first_moment().embedding())[0];
  EXPECT_NEAR(moment, 0.1 * 0.5 * 2.0 / norm, 1e-7);
}

TEST(Optimizer, SmallGradientsAreNotScaledUp) {
  Trained trained(DType::f32, {.max_grad_norm = 1e6});
  trained.fill_gradients(0.5f);
  trained.optimizer.update(1, 1e-3, trained.optimizer.gradient_norm());
  // 1 - beta1 in fp32: 0.9 is off by 2^-25 at most, so the moment by half of that, and one
  // rounding.
  EXPECT_NEAR(trained.values(trained.optimizer.first_moment().embedding())[0], 0.05,
              0.5 * 0x1p-25 + 0.05 * 0x1p-24);
}

TEST(Optimizer, DecayOnMatricesAndEmbeddingsNotOnNorms) {
  Trained trained(DType::f32, {.weight_decay = 0.5});
  trained.optimizer.zero_gradients();
  const std::vector<float> before = trained.values(trained.model.weights.embedding());
  const std::vector<float> down = trained.values(trained.model.weights.layer(1).down);
  const std::vector<float> head = trained.values(trained.model.weights.language_head());
  trained.optimizer.update(1, 0.1, 0.0);
  const auto expect_shrunk = [&](const std::vector<float>& old, const std::vector<float>& now) {
    for (size_t i = 0; i < old.size(); ++i) EXPECT_NEAR(now[i], old[i] * 0.95f, 1e-7);
  };
  expect_shrunk(before, trained.values(trained.model.weights.embedding()));
  expect_shrunk(down, trained.values(trained.model.weights.layer(1).down));
  expect_shrunk(head, trained.values(trained.model.weights.language_head()));
  for (const Tensor& norm :
       {trained.model.weights.final_norm(), trained.model.weights.layer(0).attention_norm,
        trained.model.weights.layer(1).mlp_norm}) {
    for (const float value : trained.values(norm)) EXPECT_EQ(value, 1.0f);
  }
}

TEST(Optimizer, Bf16WeightsAreTheRoundedMasters) {
  Trained trained(DType::bf16, {});
  trained.fill_gradients(0.25f);
  trained.optimizer.update(1, 1e-2, trained.optimizer.gradient_norm());
  const std::vector<float> master = trained.values(trained.optimizer.masters().layer(0).qkv);
  const Tensor weights = trained.model.weights.layer(0).qkv;
  std::vector<bf16> copy(static_cast<size_t>(weights.size()));
  trained.backend->copy_to_host(copy.data(), weights);
  for (size_t i = 0; i < master.size(); ++i) {
    EXPECT_EQ(copy[i].bits, bf16(master[i]).bits);
  }
}

TEST(Optimizer, NamesTheGradientThatIsNotFinite) {
  Trained trained(DType::f32, {});
  trained.fill_gradients(0.5f);
  EXPECT_EQ(trained.optimizer.first_non_finite_gradient(), "");
  const float bad = std::numeric_limits<float>::quiet_NaN();
  trained.backend->copy_from_host(trained.optimizer.gradients().layer(1).down.flat(5, 1), &bad);
  EXPECT_FALSE(std::isfinite(trained.optimizer.gradient_norm()));
  EXPECT_EQ(trained.optimizer.first_non_finite_gradient(), "model.layers.1.mlp.down_proj.weight");
}

}  // namespace

}  // namespace cria
