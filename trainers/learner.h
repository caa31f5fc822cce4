// A model in training: weights, gradients and optimizer state. Trainers drive it: a pass forward, a
// head, backward, and after all micro-batches an update.
#pragma once

#include <string>

#include "cria/io/checkpoint.h"
#include "cria/io/hugging_face.h"
#include "cria/optim/optimizer.h"

#include "trainers/pass_buffers.h"

namespace cria {

class Learner {
 public:
  // `passes` may be shared with other models of the same shape.
  Learner(const ModelConfig& config, Backend& backend, DType precision,
          const OptimizerOptions& optimizer_options, PassBuffers& passes);

  void reserve(Arena& arena);
  void prepare() { model.prepare(); }  // once after the arena's allocation

  // Reads a Hugging Face directory. With MissingHead::allow a directory with another head leaves
  // this model's at its random start, drawn from `seed`.
  void load_model(const std::string& directory, uint64_t seed = 0,
                  MissingHead missing_head = MissingHead::refuse);
  // For save_checkpoint and load_checkpoint; `folder` as there.
  CheckpointModel checkpoint_model(const std::string& folder = "");
  void loaded() { optimizer.masters_changed(); }

  void forward(const PackedBatch& packed, std::span<const int32_t> read = {}) {
    passes.forward(model, packed, read);
  }
  // After a head wrote activations.hidden_gradient.
  void backward();
  // The next backward() is the last before the update: as soon as the gradients of a block are
  // complete their sum over the ranks is started.
  void reduce_in_next_backward(Reduction& reduction) { reduction_ = &reduction; }
  // Before the update, on every rank: starts the sums that no pass of this rank started, ends all.
  void finish_reduction(Reduction& reduction);

  Backend& backend() { return model.backend(); }
  const ModelConfig& config() const { return layout_.config(); }
  int64_t max_tokens() const { return passes.max_tokens(); }

 private:
  ParameterLayout layout_;
  Reduction* reduction_ = nullptr;

 public:
  Model model;
  Optimizer optimizer;
  PassBuffers& passes;
};

}  // namespace cria
