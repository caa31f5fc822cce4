// A model in training: weights, gradients, optimizer state and the buffers of one pass, planned
// together in one arena. Trainers drive it: forward, a head, backward, and after all micro-batches
// an update.
#pragma once

#include <memory>
#include <string>

#include "cria/io/checkpoint.h"
#include "cria/model/heads.h"
#include "cria/optim/optimizer.h"

namespace cria {

class Learner {
 public:
  Learner(const ModelConfig& config, Backend& backend, DType precision,
          const OptimizerOptions& optimizer_options, const PassPlan& plan);

  // Allocates everything at once; throws the table of what is needed when it does not fit.
  void allocate();
  std::string memory_table() const { return arena_.table(); }

  void load_model(const std::string& directory);
  CheckpointModel checkpoint_model();  // for save_checkpoint and load_checkpoint
  void loaded() { optimizer.masters_changed(); }

  // Uploads a batch and runs the transformer over it; then a head may read activations.hidden.
  void forward(const PackedBatch& packed);
  // After a head wrote activations.hidden_gradient.
  void backward();

  Backend& backend() { return backend_; }
  const ModelConfig& config() const { return layout_.config(); }
  int64_t max_tokens() const { return activations.plan().max_tokens; }

 private:
  Backend& backend_;
  ParameterLayout layout_;
  Arena arena_;

 public:
  Model model;
  Optimizer optimizer;
  Activations activations;
  DeviceBatch batch;
  LanguageHead language_head;
};

}  // namespace cria
