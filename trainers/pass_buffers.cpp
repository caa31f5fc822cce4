#include "trainers/pass_buffers.h"

#include <utility>

namespace cria {

PassBuffers::PassBuffers(const ModelConfig& config, DType precision, const PassPlan& plan)
    : activations(config, precision, plan),
      batch(plan.max_tokens),
      language_head(plan.max_tokens),
      score_head(plan.max_tokens) {}

void PassBuffers::reserve(Arena& arena, const Model& model) {
  if (!std::exchange(has_activations_, true)) {
    activations.reserve(arena, model.backend());
    batch.reserve(arena);
  }
  if (model.config().head == HeadKind::language) {
    if (!std::exchange(has_language_head_, true)) language_head.reserve(arena, model);
  } else {
    if (!std::exchange(has_score_head_, true)) score_head.reserve(arena, model);
  }
}

void PassBuffers::forward(const Model& model, const PackedBatch& packed,
                          std::span<const int32_t> read) {
  batch.upload(model.backend(), packed, read);
  transformer_forward(model, activations, batch);
}

}  // namespace cria
