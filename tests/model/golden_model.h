// What the golden tests stand on: the fixtures of tests/golden, and a model of them ready to
// compute.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cria/io/safetensors.h"
#include "cria/model/heads.h"

#include "support/places.h"

namespace cria::testing {

std::string golden_path(const std::string& name);  // of tests/golden/NAME
nlohmann::json golden_json(const std::string& name);
// The values of one tensor of a fixture, as fp32.
std::vector<float> golden_values(const SafetensorsFile& file, const std::string& tensor);

// Sequences without labels of their own: every token is to be predicted.
std::vector<Example> examples_of(const std::vector<std::vector<int32_t>>& sequences);

// A model of tests/golden/models, loaded, with the buffers of a pass and of its gradients.
class GoldenModel {
 public:
  GoldenModel(const std::string& name, DType dtype, const PassPlan& plan,
              const std::string& device = test_device());

  // Log-probabilities of tokens 2..T of every sequence, one after the other; for a reward model the
  // score at each token. `sequences` are packed into one batch, of which the head reads the rows
  // `read`, or all.
  std::vector<float> outputs(const std::vector<Example>& sequences,
                             std::span<const int32_t> read = {});

  // Weighted token loss of the batch; its gradients are added to gradients().
  double loss_with_gradients(const std::vector<Example>& sequences,
                             std::span<const int32_t> read = {});

  const Model& model() const { return model_; }
  const ParameterLayout& layout() const { return layout_; }
  std::vector<float> gradient(size_t block, const ParameterTensor& tensor) const;

 private:
  PackedBatch forward(const std::vector<Example>& sequences, std::span<const int32_t> read);

  std::unique_ptr<Backend> backend_;
  ParameterLayout layout_;
  Arena arena_;
  Model model_;
  ParameterSet gradients_;
  Activations activations_;
  DeviceBatch batch_;
  LanguageHead language_head_;
  ScoreHead score_head_;
};

}  // namespace cria::testing
