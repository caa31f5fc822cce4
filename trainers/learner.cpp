#include "trainers/learner.h"

#include "cria/io/hugging_face.h"

namespace cria {

Learner::Learner(const ModelConfig& config, Backend& backend, DType precision,
                 const OptimizerOptions& optimizer_options, const PassPlan& plan)
    : backend_(backend),
      layout_(config),
      arena_(backend.memory()),
      model(layout_, precision, backend),
      optimizer(model, optimizer_options),
      activations(config, precision, plan),
      batch(plan.max_tokens),
      language_head(plan.max_tokens) {
  model.reserve(arena_, /*training=*/true);
  optimizer.reserve(arena_);
  activations.reserve(arena_, backend);
  batch.reserve(arena_);
  language_head.reserve(arena_, model);
}

void Learner::allocate() {
  arena_.allocate();
  model.prepare();
}

void Learner::load_model(const std::string& directory) {
  read_weights(directory, optimizer.masters(), backend_);
  loaded();
}

CheckpointModel Learner::checkpoint_model() {
  return {.folder = "",
          .weights = &optimizer.masters(),
          .first_moment = &optimizer.first_moment(),
          .second_moment = &optimizer.second_moment()};
}

void Learner::forward(const PackedBatch& packed) {
  batch.upload(backend_, packed);
  transformer_forward(model, activations, batch);
}

void Learner::backward() { transformer_backward(model, optimizer.gradients(), activations, batch); }

}  // namespace cria
