#include "trainers/learner.h"

#include <utility>

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
  BlockVisitor is_complete;
  if (Reduction* reduction = std::exchange(reduction_, nullptr)) {
    is_complete = [this, reduction](size_t block) { optimizer.start_reduction(*reduction, block); };
  }
  transformer_backward(model, optimizer.gradients(), passes.activations, passes.batch, is_complete);
}

void Learner::finish_reduction(Reduction& reduction) {
  reduction_ = nullptr;
  optimizer.finish_reduction(reduction);
}

}  // namespace cria
