#include "trainers/learner.h"

namespace cria {

Learner::Learner(const ModelConfig& config, Backend& backend, DType precision,
                 const OptimizerOptions& optimizer_options, PassBuffers& pass_buffers)
    : layout_(config),
      model(layout_, precision, backend),
      optimizer(model, optimizer_options),
      passes(pass_buffers) {}

void Learner::reserve(Arena& arena) {
  model.reserve(arena, /*training=*/true);
  optimizer.reserve(arena);
  passes.reserve(arena, model);
}

void Learner::load_model(const std::string& directory, uint64_t seed, MissingHead missing_head) {
  if (missing_head == MissingHead::allow) {
    initialize_weights(optimizer.masters(), backend(), seed);
  }
  read_weights(directory, optimizer.masters(), backend(), missing_head);
  loaded();
}

CheckpointModel Learner::checkpoint_model(const std::string& folder) {
  return {.folder = folder,
          .weights = &optimizer.masters(),
          .first_moment = &optimizer.first_moment(),
          .second_moment = &optimizer.second_moment()};
}

void Learner::backward() {
  transformer_backward(model, optimizer.gradients(), passes.activations, passes.batch);
}

}  // namespace cria
