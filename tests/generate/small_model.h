// A small model with random weights, for tests of generation.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cria/model/heads.h"

#include "support/places.h"

namespace cria::testing {

// Its distributions are far from flat, so that no two logits are close enough to swap.
ModelConfig small_config(int heads, int key_value_heads);

class SmallModel {
 public:
  SmallModel(const ModelConfig& config, DType dtype, uint64_t seed = 1,
             const std::string& device = test_device());

  Arena& arena() { return arena_; }
  const Model& model() const { return model_; }
  // After all that needs memory has reserved it. Random weights, or those of a model directory.
  void load();
  void load(const std::string& directory);

  // Of tokens 2…T of one sequence, by a forward pass over the whole of it.
  struct Scored {
    std::vector<float> logprobs;
    std::vector<int32_t> predictions;
  };
  Scored score(const std::vector<int32_t>& ids, float temperature = 1.0f);

 private:
  std::unique_ptr<Backend> backend_;
  ParameterLayout layout_;
  Arena arena_;
  Model model_;
  uint64_t seed_;
  Activations activations_;
  DeviceBatch batch_;
  LanguageHead head_;
};

std::vector<int32_t> random_prompt(int64_t length, int64_t vocab_size, uint64_t seed);

}  // namespace cria::testing
